package org.moe4j.lab.papers;

import java.util.List;
import java.util.Set;
import org.moe4j.lab.Arm;
import org.moe4j.lab.Criterion;
import org.moe4j.lab.Experiment;
import org.moe4j.lab.Held;
import org.moe4j.lab.LanguageArm;
import org.moe4j.lab.Metric;

/** S25: every token computed against fixed buffers that drop what does not fit. */
final class DroplessAgainstDropping {
  private DroplessAgainstDropping() {}

  static Experiment experiment() {
    LanguageArm layer = LanguageArm.of("moe.router=switch", "moe.losses.megablocks=0.01");
    return Experiment.of(
        "S25",
        "A layer that computes every token, however uneven the load, learns more than one that drops"
            + " what its buffers do not hold.",
        "The paper's gain is time: padding that drops nothing costs up to 40 percent. Here is its"
            + " quality side, 8 experts and capacity factor 1: a loss of 0.5 to 2 percent less after"
            + " 2000 steps. At evaluation nothing is dropped in either arm.",
        List.of(
            Arm.of("dropless", "grouped products, every token is computed", layer),
            Arm.of(
                "dropping",
                "buffers of the even share, capacity factor 1",
                layer.with("moe.dispatcher=capacity", "moe.capacity-factor=1")),
            Arm.of(
                "factor 2",
                "buffers of twice the even share",
                layer.with("moe.dispatcher=capacity", "moe.capacity-factor=2"))),
        List.of(
            Criterion.better("dropless", "dropping", Metric.TRAINING_LOSS, 0.01, 0.002),
            Criterion.better("dropless", "dropping", Metric.DROPPED, 0.1, 0.02)),
        Set.of(Held.STEPS, Held.TOKENS, Held.PARAMETERS, Held.ACTIVE_PARAMETERS, Held.FLOPS));
  }
}

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
    LanguageArm layer =
        LanguageArm.of(
                "moe.router=switch",
                "moe.experts=16",
                "moe.expert-ffn=256",
                "moe.losses.megablocks=0.01")
            .narrow();
    return Experiment.of(
        "S25",
        "Grouped products compute every token, however uneven the load: they learn more than buffers"
            + " that drop what does not fit, and take less time than buffers that hold everything.",
        "The paper's layers are 1.4 to 4.4 times as fast as buffers padded to the busiest"
            + " expert, on eight GPUs with 64 experts of a width in the thousands. With 16 experts"
            + " of width 256 much of a step is not theirs, so the gain in time is smaller here, and"
            + " largest at the start, where the load is most uneven. The validation loss would not"
            + " show the dropping: at evaluation nothing is dropped in any arm.",
        List.of(
            Arm.of("dropless", "grouped products, every token is computed", layer),
            Arm.of(
                "dropping",
                "buffers of the even share, capacity factor 1",
                layer.with("moe.dispatcher=capacity", "moe.capacity-factor=1")),
            Arm.of(
                "padded",
                "buffers of what the busiest expert gets, nothing is dropped",
                // Sixteen times the even share is all tokens; buffers are no larger than they must
                // be.
                layer.with("moe.dispatcher=capacity", "moe.capacity-factor=16"))),
        List.of(
            Criterion.better("dropless", "dropping", Metric.TRAINING_LOSS, 0.01, 0.002),
            Criterion.better("dropless", "dropping", Metric.DROPPED, 0.1, 0.02),
            Criterion.better("dropless", "padded", Metric.STEP_TIME, 0.3, 0.05)),
        Set.of(Held.STEPS, Held.TOKENS, Held.PARAMETERS, Held.ACTIVE_PARAMETERS, Held.FLOPS));
  }
}

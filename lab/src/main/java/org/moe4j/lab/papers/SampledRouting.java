package org.moe4j.lab.papers;

import java.util.List;
import java.util.Set;
import org.moe4j.lab.Arm;
import org.moe4j.lab.Criterion;
import org.moe4j.lab.Experiment;
import org.moe4j.lab.Held;
import org.moe4j.lab.LanguageArm;
import org.moe4j.lab.Metric;

/** S57: experts that are drawn, with a gradient of the draw, against the k best. */
final class SampledRouting {
  private SampledRouting() {}

  static Experiment experiment() {
    LanguageArm layer = LanguageArm.of("moe.top-k=2", "moe.losses.mixtral=0.01");
    return Experiment.of(
        "S57",
        "claim",
        "scale",
        List.of(
            Arm.of("sparse mixer", "drawn", layer.with("moe.router=grin")),
            Arm.of("gshard", "gshard", layer.with("moe.router=gshard-top-2")),
            Arm.of("top-2", "best", layer.with("moe.router=softmax-top-k"))),
        List.of(
            Criterion.better("sparse mixer", "top-2", Metric.LOSS, 0.005, 0.002)),
        Set.of(Held.STEPS, Held.TOKENS, Held.PARAMETERS, Held.ACTIVE_PARAMETERS, Held.FLOPS));
  }
}

package org.moe4j.lab.papers;

import java.util.List;
import java.util.Set;
import org.moe4j.lab.Arm;
import org.moe4j.lab.Criterion;
import org.moe4j.lab.Experiment;
import org.moe4j.lab.Held;
import org.moe4j.lab.LanguageArm;
import org.moe4j.lab.Metric;

/** S06: a Switch model against a dense one, at equal steps and at equal time. */
final class SwitchAgainstDense {
  private SwitchAgainstDense() {}

  static Experiment experiment() {
    LanguageArm dense = LanguageArm.of("model.placement=none");
    LanguageArm experts =
        LanguageArm.of("moe.router=switch", "moe.dispatcher=capacity", "moe.capacity-factor=1.25");
    return Experiment.of(
        "S06",
        "One expert of many for each token learns more than a dense layer of the same work, in the"
            + " same number of steps and in the same time.",
        "The paper trains T5 models with 128 experts for 100,000 steps: negative log perplexity"
            + " -1.553 against -1.731 of the dense one. Here are 8 experts; more experts show more."
            + " On two cores a sparse step of this size is slowed by its small products, so equal"
            + " time is the harder test.",
        List.of(
            Arm.of("switch", "8 experts, capacity factor 1.25, balance loss 0.01", experts),
            Arm.of("dense", "the same layers with one network of an expert's width", dense),
            Arm.of("dense, equal time", "the dense model, for as long as switch takes", dense)
                .inTheTimeOf("switch")),
        List.of(
            Criterion.better("switch", "dense", Metric.LOSS, 0.03, 0.003),
            Criterion.notWorse("switch", "dense, equal time", Metric.LOSS, 0.01)),
        Set.of(Held.STEPS, Held.TOKENS, Held.ACTIVE_PARAMETERS, Held.FLOPS));
  }
}

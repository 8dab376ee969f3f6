package org.moe4j.lab.papers;

import java.util.List;
import java.util.Set;
import org.moe4j.lab.Arm;
import org.moe4j.lab.Criterion;
import org.moe4j.lab.Experiment;
import org.moe4j.lab.Held;
import org.moe4j.lab.LanguageArm;
import org.moe4j.lab.Metric;

/** S56: a bias that follows the load against a balance loss. */
final class LossFreeBalancing {
  private LossFreeBalancing() {}

  static Experiment experiment() {
    LanguageArm layer =
        LanguageArm.of("moe.router=loss-free", "moe.experts=16", "moe.top-k=2", "moe.expert-ffn=64")
            .narrow();
    return Experiment.of(
        "S56",
        "A bias on the choice alone, moved by a fixed step against the load, balances experts better"
            + " than an auxiliary loss and does not cost any of the model's quality.",
        "The paper's 1-billion model: perplexity 9.50 and MaxVio 0.04 with the bias, 9.56 and 0.72"
            + " with the loss, after 100 billion tokens and bias steps of 0.001. A few"
            + " thousand steps need larger ones: here 0.002.",
        List.of(
            Arm.of(
                "bias", "bias steps of 0.002, no loss", layer.with("moe.options.bias-rate=0.002")),
            Arm.of(
                "balance loss",
                "no bias, a loss of weight 0.01",
                layer.with("moe.options.bias-rate=0", "moe.losses.megablocks=0.01")),
            Arm.of("nothing", "neither", layer.with("moe.options.bias-rate=0"))),
        List.of(
            Criterion.better("bias", "balance loss", Metric.VIOLATION, 0.5, 0.05),
            Criterion.better("bias", "nothing", Metric.VIOLATION, 1.5, 0.2),
            Criterion.notWorse("bias", "balance loss", Metric.LOSS, 0.005)),
        Set.of(Held.STEPS, Held.TOKENS, Held.PARAMETERS, Held.ACTIVE_PARAMETERS, Held.FLOPS));
  }
}

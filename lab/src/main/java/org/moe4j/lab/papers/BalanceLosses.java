package org.moe4j.lab.papers;

import java.util.List;
import java.util.Set;
import org.moe4j.lab.Arm;
import org.moe4j.lab.Criterion;
import org.moe4j.lab.Experiment;
import org.moe4j.lab.Held;
import org.moe4j.lab.LanguageArm;
import org.moe4j.lab.Metric;

/** S01: noisy top-k gating with and without the importance and load losses. */
final class BalanceLosses {
  private BalanceLosses() {}

  static Experiment experiment() {
    LanguageArm layer =
        LanguageArm.of(
            "moe.router=noisy-top-k",
            "moe.experts=32",
            "moe.top-k=4",
            "moe.expert-ffn=32",
            "moe.activation=relu");
    return Experiment.of(
        "S01",
        "Without losses on importance and load a few experts take most tokens; with them the load"
            + " is even, and the language model is no worse for it.",
        "The paper compares 256 experts after 10 epochs: perplexity 39.8 without the losses"
            + " and 35.7 with both at 0.01, largest load 17.8 and 1.37 times the mean. Here are 32"
            + " experts and minutes of training. The even load shows at once. Its use for the loss"
            + " does not: for so short a run a few experts are enough, and the balanced model is"
            + " only as good. The paper's other weights of 0.1 cost one percent here after 2,900"
            + " steps.",
        List.of(
            Arm.of(
                "both losses",
                "importance and load losses of weight 0.01 each",
                layer.with("moe.losses.importance=0.01", "moe.losses.load=0.01")),
            Arm.of(
                "no losses",
                "the same layer, nothing balances it",
                layer.with("moe.losses.importance=0", "moe.losses.load=0"))),
        List.of(
            Criterion.better("both losses", "no losses", Metric.IMBALANCE, Math.log(3), 0.3),
            Criterion.notWorse("both losses", "no losses", Metric.LOSS, 0.01)),
        Set.of(Held.STEPS, Held.TOKENS, Held.PARAMETERS, Held.ACTIVE_PARAMETERS, Held.FLOPS));
  }
}

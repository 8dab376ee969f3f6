package org.moe4j.lab.papers;

import java.util.List;
import java.util.Set;
import org.moe4j.lab.Arm;
import org.moe4j.lab.Criterion;
import org.moe4j.lab.Experiment;
import org.moe4j.lab.Held;
import org.moe4j.lab.LanguageArm;
import org.moe4j.lab.Metric;

/** S29: sigmoid scores that do not compete against a softmax, and both against the dense layer. */
final class SigmoidAgainstSoftmax {
  private SigmoidAgainstSoftmax() {}

  static Experiment experiment() {
    LanguageArm layer =
        LanguageArm.of("moe.activation=relu", "moe.experts=16", "moe.top-k=4", "moe.expert-ffn=32");
    return Experiment.of(
        "S29",
        "Experts that are weighed by sigmoids, each by itself, come close to a dense layer with all"
            + " of their parameters, and are better than experts under a renormalised softmax.",
        "The paper's models reach the dense perplexity with a quarter of the feed-forward"
            + " work; the softmax costs 0.5 to 2 percent after 100,000 steps. Here the sigmoids are"
            + " close to the dense layer, but not ahead of the softmax: 0.8 percent behind after"
            + " 1,500 steps, and 0.6 percent after 3,000 in models of half the width; with the"
            + " softmax's start in place of their own they were even. The entropy loss has ten"
            + " times the paper's weight. Weights that need not sum to one may take longer to learn"
            + " than a few minutes.",
        List.of(
            Arm.of(
                "sigma-moe",
                "16 experts of width 32, 4 for a token, entropy loss, dense-equivalent start",
                layer.with("moe.router=sigma-moe")),
            Arm.of(
                "softmax top-k",
                "the same under a softmax over the chosen, balance loss 0.01",
                layer.with("moe.router=softmax-top-k", "moe.renormalise=before-drop")),
            Arm.of(
                "dense",
                "one layer of width 512: all parameters for every token",
                LanguageArm.of("moe.activation=relu", "model.placement=none", "model.ffn=512"))),
        List.of(
            Criterion.better("sigma-moe", "softmax top-k", Metric.LOSS, 0.01, 0.002),
            Criterion.notWorse("sigma-moe", "dense", Metric.LOSS, 0.01)),
        Set.of(Held.STEPS, Held.TOKENS, Held.PARAMETERS));
  }
}

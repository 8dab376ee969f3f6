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
        "The paper's models reach the dense perplexity with a quarter of the feed-forward work; the"
            + " softmax costs 0.5 to 2 percent. Here the sigmoids were 0.25 percent ahead after 2,370 steps,"
            + " less than seeds differ by: when attention finds the token before depends on the seed,"
            + " and that moves the loss by as much.",
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

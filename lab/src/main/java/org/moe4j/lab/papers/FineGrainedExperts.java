package org.moe4j.lab.papers;

import java.util.List;
import java.util.Set;
import org.moe4j.lab.Arm;
import org.moe4j.lab.Criterion;
import org.moe4j.lab.Experiment;
import org.moe4j.lab.Held;
import org.moe4j.lab.LanguageArm;
import org.moe4j.lab.Metric;

/** S36: many thin experts and a shared one against few wide ones, at equal work. */
final class FineGrainedExperts {
  private FineGrainedExperts() {}

  static Experiment experiment() {
    LanguageArm layer =
        LanguageArm.of("moe.router=deepseek-moe", "moe.losses.deepseek-expert=0.01").narrow();
    LanguageArm thin = layer.with("moe.expert-ffn=32");
    return Experiment.of(
        "S36",
        "Experts cut into quarters, four times as many of them for a token, and one that every token"
            + " shares: the same parameters and the same work learn more.",
        "The paper's 2-billion model has a loss of 1.808 where the same budget of wide"
            + " experts has 1.867. Here a loss of 0.3 to 1.5 percent less is to be expected, in a"
            + " narrow model, where experts are most of the work. In models of twice the width the"
            + " fine ones were 0.35 percent behind after 1,200 steps, and 0.1 to 0.2 ahead after"
            + " 3,000 to 4,000. The arm without a shared expert tells what cutting alone does.",
        List.of(
            Arm.of(
                "fine and shared",
                "31 experts of width 32, 7 for a token, and a shared one",
                thin.with("moe.experts=31", "moe.top-k=7", "moe.shared-experts=1")),
            Arm.of(
                "fine",
                "32 experts of width 32, 8 for a token",
                thin.with("moe.experts=32", "moe.top-k=8")),
            Arm.of(
                "wide",
                "8 experts of width 128, 2 for a token",
                layer.with("moe.experts=8", "moe.top-k=2", "moe.expert-ffn=128"))),
        List.of(Criterion.better("fine and shared", "wide", Metric.LOSS, 0.01, 0.002)),
        Set.of(Held.STEPS, Held.TOKENS, Held.PARAMETERS, Held.ACTIVE_PARAMETERS, Held.FLOPS));
  }
}

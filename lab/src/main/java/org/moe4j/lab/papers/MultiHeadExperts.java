package org.moe4j.lab.papers;

import java.util.List;
import java.util.Set;
import org.moe4j.lab.Arm;
import org.moe4j.lab.Criterion;
import org.moe4j.lab.Experiment;
import org.moe4j.lab.Held;
import org.moe4j.lab.LanguageArm;
import org.moe4j.lab.Metric;

/** S41: parts of tokens sent to experts of their own, at equal parameters and work. */
final class MultiHeadExperts {
  private MultiHeadExperts() {}

  static Experiment experiment() {
    LanguageArm wide = LanguageArm.of("model.hidden=96", "moe.losses.switch=0.01");
    return Experiment.of(
        "S41",
        "A token split into parts that each choose their own experts learns more than whole tokens"
            + " that choose one expert, with the same parameters and the same work.",
        "The paper's follow-up compares at equal cost, 100,000 steps: perplexity 10.70 with two"
            + " parts, 10.74 with finer experts alone and 10.90 with wide ones, 0.8 percent of the"
            + " loss between first and last. Widths and numbers of experts here follow its rule at"
            + " an eighth of its width. The part of the gain that finer experts explain alone is"
            + " shown by the third arm; what is left is too small to be judged in minutes. After 2,000 steps finer experts"
            + " alone were 1.4 percent ahead of wide ones, and split tokens 0.6 percent behind them. How"
            + " even the load is, 41 experts and 8 cannot be compared by: the more there are, the"
            + " further the largest is from the mean.",
        List.of(
            Arm.of(
                "multi-head",
                "2 parts of width 48, 41 experts of width 96, 2 for a part",
                wide.with(
                    "moe.router=mh-moe",
                    "moe.options.heads=2",
                    "moe.experts=41",
                    "moe.top-k=2",
                    "moe.expert-ffn=96")),
            Arm.of(
                "plain",
                "8 experts of width 256, 1 for a token",
                wide.with(
                    "moe.router=softmax-top-k",
                    "moe.experts=8",
                    "moe.top-k=1",
                    "moe.expert-ffn=256")),
            Arm.of(
                "plain, finer",
                "16 experts of width 128, 2 for a token",
                wide.with(
                    "moe.router=softmax-top-k",
                    "moe.experts=16",
                    "moe.top-k=2",
                    "moe.expert-ffn=128"))),
        List.of(Criterion.better("multi-head", "plain", Metric.LOSS, 0.008, 0.002)),
        Set.of(Held.STEPS, Held.TOKENS, Held.PARAMETERS, Held.ACTIVE_PARAMETERS, Held.FLOPS));
  }
}

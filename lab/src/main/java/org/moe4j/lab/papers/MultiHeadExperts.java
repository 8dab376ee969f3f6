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
    LanguageArm wide =
        LanguageArm.of(
            "model.hidden=96", "moe.init=t5", "model.init-std=0.05", "moe.losses.switch=0.01");
    return Experiment.of(
        "S41",
        "A token split into parts that each choose their own experts learns more than whole tokens"
            + " that choose one expert, with the same parameters and the same work.",
        "The paper's follow-up compares at equal cost, 100,000 steps: perplexity 10.51 with"
            + " three parts, 10.70 with two, 10.74 with finer experts alone and 10.90 with wide"
            + " ones, 1.5 percent of the loss between first and last. Its rule of equal cost would"
            + " have 93 experts of width 64 here, at an eighth of its width; they are a little"
            + " narrower and more, since the router of so many costs something too. What shows here"
            + " is a faster start: three parts are 0.8 percent ahead after 500 and after 1,200"
            + " steps, which is the default time, and half a percent behind after 4,000, where"
            + " finer experts alone, the third arm, are 1.4 percent ahead of wide ones. A part of"
            + " 32 numbers is little to choose an expert by, and to compute from; the paper's have"
            + " 256. How even the load is, 98 experts and 8 cannot be compared by: the more there"
            + " are, the further the largest is from the mean.",
        List.of(
            Arm.of(
                "multi-head",
                "3 parts of width 32, 98 experts of width 60, 3 for a part",
                wide.with(
                    "moe.router=mh-moe",
                    "moe.options.heads=3",
                    "moe.experts=98",
                    "moe.top-k=3",
                    "moe.expert-ffn=60")),
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
        List.of(Criterion.better("multi-head", "plain", Metric.LOSS, 0.015, 0.002)),
        Set.of(Held.STEPS, Held.TOKENS, Held.PARAMETERS, Held.ACTIVE_PARAMETERS, Held.FLOPS));
  }
}

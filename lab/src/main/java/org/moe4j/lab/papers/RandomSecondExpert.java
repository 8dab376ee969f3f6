package org.moe4j.lab.papers;

import java.util.List;
import java.util.Set;
import org.moe4j.lab.Arm;
import org.moe4j.lab.Criterion;
import org.moe4j.lab.Experiment;
import org.moe4j.lab.Held;
import org.moe4j.lab.LanguageArm;
import org.moe4j.lab.Metric;

/** S05: GShard's capacity, its random second expert and its balance loss. */
final class RandomSecondExpert {
  private RandomSecondExpert() {}

  static Experiment experiment() {
    LanguageArm gshard =
        LanguageArm.of(
            "moe.router=gshard-top-2",
            "moe.experts=16",
            "moe.expert-ffn=64",
            "moe.activation=relu",
            "moe.dispatcher=capacity",
            "moe.capacity-factor=1",
            "moe.drop-order=choice",
            "moe.balance-loss=0.01");
    return Experiment.of(
        "S05",
        "With 2 T / E places in each expert, a balance loss and a second expert that is asked"
            + " with a chance of twice its weight, few choices find no room, and the model is"
            + " no worse for the second experts that were skipped.",
        "The paper has no table of this; its translation models have up to 2048 experts and"
            + " groups of thousands of tokens. Here are 16 experts and a group of 256 tokens."
            + " Choices that the random draw leaves out are not asked, so they do not count as"
            + " dropped. The arm without second experts shows what these add.",
        List.of(
            Arm.of(
                "random second",
                "the second expert is asked with a chance of twice its weight",
                gshard.with("moe.options.second-expert=random")),
            Arm.of(
                "always second",
                "the second expert is always asked",
                gshard.with("moe.options.second-expert=all")),
            Arm.of(
                "no balance loss",
                "the random second expert, and nothing balances",
                gshard.with("moe.options.second-expert=random", "moe.balance-loss=0")),
            Arm.of(
                "first only",
                "no second expert, in evaluation neither; FLOPs are counted as if there were one",
                gshard.with(
                    "moe.options.second-expert=none", "moe.options.second-expert-eval=none"))),
        List.of(
            Criterion.better("random second", "always second", Metric.DROPPED, 0.05, 0.02),
            Criterion.notWorse("random second", "always second", Metric.LOSS, 0.01),
            Criterion.better("random second", "no balance loss", Metric.DROPPED, 0.2, 0.05)),
        Set.of(Held.STEPS, Held.TOKENS, Held.PARAMETERS, Held.ACTIVE_PARAMETERS, Held.FLOPS));
  }
}

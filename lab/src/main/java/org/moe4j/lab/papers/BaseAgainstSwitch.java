package org.moe4j.lab.papers;

import java.util.List;
import java.util.Set;
import org.moe4j.lab.Arm;
import org.moe4j.lab.Criterion;
import org.moe4j.lab.Experiment;
import org.moe4j.lab.Held;
import org.moe4j.lab.LanguageArm;
import org.moe4j.lab.Metric;

/** S09: a balanced assignment of tokens to experts against Switch's loss and capacity. */
final class BaseAgainstSwitch {
  private BaseAgainstSwitch() {}

  static Experiment experiment() {
    LanguageArm layer =
        LanguageArm.of("moe.activation=relu", "moe.experts=32", "moe.expert-ffn=32").narrow();
    return Experiment.of(
            "S09",
            "Giving every expert the same number of tokens by solving an assignment needs no balance"
                + " loss, drops no token, and learns the text better than Switch layers.",
            "The paper trains 128 experts for 2.5 days on 128 GPUs; its perplexity is below that"
                + " of a Switch model at the same time, in a figure without numbers. Here are 32 narrow"
                + " experts in a narrow model, ReLU in both arms, and minutes. The assignment knows all"
                + " tokens of a batch and is for training alone: held-out text goes to the best expert,"
                + " which is another one than in training for many tokens. The training loss is judged,"
                + " which is BASE's own ground. There it takes thousands of steps to be ahead: 0.4"
                + " percent after 4,800, while Switch drops a sixth of its tokens; in trials with a"
                + " smaller start of the weights it was 0.2 after 3,000 and 0.7 after 7,000, and with"
                + " experts of width 128 or 256 it was behind after 2,000. BASE experts also have a"
                + " layer norm of their own and weights by a sigmoid; what these add is part of the"
                + " difference.",
            List.of(
                Arm.of(
                    "base",
                    "balanced assignment in training, the best expert afterwards; no loss",
                    layer.with("moe.router=base")),
                Arm.of(
                    "switch",
                    "top-1, balance loss 0.01, capacity factor 1",
                    layer.with(
                        "moe.router=switch",
                        "moe.dispatcher=capacity",
                        "moe.capacity-factor=1",
                        "moe.balance-loss=0.01"))),
            List.of(
                Criterion.better("base", "switch", Metric.DROPPED, 0.1, 0.02),
                Criterion.better("base", "switch", Metric.TRAINING_LOSS, 0.01, 0.002)),
            Set.of(Held.STEPS, Held.TOKENS, Held.PARAMETERS, Held.ACTIVE_PARAMETERS, Held.FLOPS))
        .withBudget(110);
  }
}

package org.moe4j.lab.papers;

import java.util.List;
import java.util.Set;
import org.moe4j.lab.Arm;
import org.moe4j.lab.Criterion;
import org.moe4j.lab.Experiment;
import org.moe4j.lab.Held;
import org.moe4j.lab.LanguageArm;
import org.moe4j.lab.MaskedArm;
import org.moe4j.lab.Metric;

/** S19: experts that choose their tokens against tokens that choose their expert. */
final class ExpertChoice {
  private ExpertChoice() {}

  static Experiment experiment() {
    LanguageArm layer = LanguageArm.of("moe.experts=16", "moe.expert-ffn=32");
    LanguageArm buffers = layer.with("moe.dispatcher=capacity", "moe.capacity-factor=1.25");
    return Experiment.of(
            "S19",
            "Where each expert takes the tokens that suit it best, no expert is overloaded, nothing needs"
                + " a balance loss, and the model learns faster than where tokens choose.",
            "The paper needs half of the steps of top-2 routing with 64 experts. Experts that"
                + " choose see later tokens, which in a causal model is a leak; so the models here name"
                + " hidden tokens instead, and no target is among the inputs. Attention looks to the"
                + " left only. The load shows at once. Hidden tokens are learned slowly, from 38 of"
                + " them in a step: after 2,700 steps expert choice is no better yet, after 4,500"
                + " (three to five minutes, --budget 5m) half a percent, five times what seeds differ"
                + " by.",
            List.of(
                Arm.of(
                    "expert choice",
                    "16 experts, each takes an eighth of the batch's tokens, so that a token has two of"
                        + " them in the mean",
                    new MaskedArm(layer.with("moe.router=expert-choice", "moe.top-k=2"))),
                Arm.of(
                    "top-2",
                    "GShard's: tokens choose, the second expert by chance, balance loss 0.01, capacity"
                        + " factor 1.25",
                    new MaskedArm(buffers.with("moe.router=gshard-top-2"))),
                Arm.of(
                    "top-1",
                    "Switch's: tokens choose one, twice as wide, balance loss 0.01, capacity factor 1.25",
                    new MaskedArm(buffers.with("moe.router=switch", "moe.expert-ffn=64")))),
            List.of(
                Criterion.better("expert choice", "top-2", Metric.LOSS, 0.02, 0.003),
                Criterion.better("expert choice", "top-2", Metric.IMBALANCE, 0.3, 0.02)),
            Set.of(Held.STEPS, Held.TOKENS, Held.PARAMETERS, Held.ACTIVE_PARAMETERS, Held.FLOPS))
        .withBudget(110);
  }
}

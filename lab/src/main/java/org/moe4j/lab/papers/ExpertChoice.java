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
    LanguageArm top = LanguageArm.of("moe.router=switch", "moe.top-k=1");
    return Experiment.of(
        "S19",
        "Where each expert takes the tokens that suit it best, no expert is overloaded, nothing needs"
            + " a balance loss, and the model learns faster than where tokens choose.",
        "The paper needs half of the steps of top-2 routing with 64 experts. Experts that choose see"
            + " later tokens, which in a causal model is a leak; so the models here name hidden"
            + " tokens instead, and no target is among the inputs. Attention looks to the left only."
            + " The load shows at once. Faster learning does not: after 2,500 steps the models"
            + " are 0.2 percent apart and seeds differ by 0.8, since names of hidden tokens are learned"
            + " slowly; drawn images, which were tried in their place, differ by more.",
        List.of(
            Arm.of(
                "expert choice",
                "8 experts, each takes an eighth of the batch's tokens",
                new MaskedArm(LanguageArm.of("moe.router=expert-choice", "moe.top-k=1"))),
            Arm.of(
                "top-1",
                "tokens choose, balance loss 0.01, capacity factor 1.25",
                new MaskedArm(top.with("moe.dispatcher=capacity", "moe.capacity-factor=1.25"))),
            Arm.of("top-1, dropless", "the same, nothing is dropped", new MaskedArm(top))),
        List.of(
            Criterion.better("expert choice", "top-1", Metric.LOSS, 0.02, 0.003),
            Criterion.better("expert choice", "top-1", Metric.IMBALANCE, 0.3, 0.02)),
        Set.of(Held.STEPS, Held.TOKENS, Held.PARAMETERS, Held.ACTIVE_PARAMETERS, Held.FLOPS));
  }
}

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

/** S23: a balanced transport plan with k entries a token against the k largest gates. */
final class SparseTransportRouting {
  private SparseTransportRouting() {}

  static Experiment experiment() {
    LanguageArm layer =
        LanguageArm.of(
            "moe.top-k=2", "moe.expert-ffn=64", "moe.dispatcher=capacity", "moe.capacity-factor=1");
    LanguageArm top = layer.with("moe.router=softmax-top-k");
    return Experiment.of(
            "S23",
            "Routing by an optimal transport plan with at most k entries a token spreads tokens over"
                + " experts without any balance loss, and is on par with top-k routing in quality.",
            "The paper's vision models are tenths of a point apart, with transport on par or ahead, so"
                + " what can show here is the balance. The models name hidden tokens, since a plan looks"
                + " at all tokens of a batch. The solver takes 50 steps, the most of the paper's range,"
                + " which leaves the plan partly balanced. Buffers hold the even share and drop what is"
                + " beyond.",
            List.of(
                Arm.of(
                    "transport",
                    "8 experts, 2 for a token by the plan, no balance loss",
                    new MaskedArm(
                        layer.with("moe.router=sparse-ot-token", "moe.options.iterations=50"))),
                Arm.of(
                    "top-k",
                    "the 2 largest gates, no balance loss",
                    new MaskedArm(top.with("moe.losses.switch=0"))),
                Arm.of(
                    "top-k, balance loss",
                    "the 2 largest gates, balance loss of weight 0.01",
                    new MaskedArm(top.with("moe.losses.switch=0.01")))),
            List.of(
                Criterion.better("transport", "top-k", Metric.IMBALANCE, 0.4, 0.1),
                Criterion.better("transport", "top-k", Metric.DROPPED, 0.1, 0.03),
                Criterion.notWorse("transport", "top-k", Metric.LOSS, 0.005),
                Criterion.notWorse("transport", "top-k, balance loss", Metric.LOSS, 0.005)),
            Set.of(Held.STEPS, Held.TOKENS, Held.PARAMETERS, Held.ACTIVE_PARAMETERS, Held.FLOPS))
        .withBudget(110);
  }
}

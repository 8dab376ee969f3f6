package org.moe4j.lab.papers;

import java.util.List;
import java.util.Set;
import org.moe4j.lab.Arm;
import org.moe4j.lab.Criterion;
import org.moe4j.lab.Experiment;
import org.moe4j.lab.Held;
import org.moe4j.lab.LanguageArm;
import org.moe4j.lab.Metric;

/** S08: FastMoE's naive, GShard and Switch gates in the same layer. */
final class GatesCompared {
  private GatesCompared() {}

  static Experiment experiment() {
    LanguageArm layer =
        LanguageArm.of("moe.experts=16", "moe.activation=gelu", "moe.balance-loss=0.01");
    return Experiment.of(
            "S08",
            "Gates are parts that can be exchanged: the naive one overloads a few experts, for which"
                + " all others wait; the GShard and the Switch gate, each with its loss and its"
                + " capacity, keep the load even.",
            "The paper measures time on GPUs and does not compare its gates; what is compared"
                + " here is what they are made for, the load of the busiest expert, which is the time"
                + " of a step where experts work side by side. The Switch gate has experts of twice the"
                + " width, so that its one expert costs what the two of the others do; it has more"
                + " parameters for it. The validation losses are within one percent of each other after"
                + " 1,600 steps; their curves are in the report.",
            List.of(
                Arm.of(
                    "gshard gate",
                    "two experts, the second at random; loss 0.01, capacity factor 1.2",
                    layer.with(
                        "moe.router=fastmoe-gshard",
                        "moe.expert-ffn=64",
                        "moe.dispatcher=capacity",
                        "moe.capacity-policy=fastmoe-gshard",
                        "moe.capacity-factor=1.2")),
                Arm.of(
                    "naive gate",
                    "the two best experts; no loss, nothing dropped",
                    layer.with("moe.router=fastmoe-naive", "moe.expert-ffn=64")),
                Arm.of(
                    "switch gate",
                    "one expert of twice the width; loss 0.01, capacity factor 1.2",
                    layer.with(
                        "moe.router=fastmoe-switch",
                        "moe.expert-ffn=128",
                        "moe.dispatcher=capacity",
                        "moe.capacity-policy=fastmoe-switch",
                        "moe.capacity-factor=1.2"))),
            List.of(
                Criterion.better("gshard gate", "naive gate", Metric.IMBALANCE, Math.log(2), 0.3),
                Criterion.better("switch gate", "naive gate", Metric.IMBALANCE, Math.log(2), 0.3)),
            Set.of(Held.STEPS, Held.TOKENS, Held.ACTIVE_PARAMETERS, Held.FLOPS))
        .withBudget(80);
  }
}

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
    LanguageArm common = LanguageArm.of("moe.top-k=2", "moe.expert-ffn=64");
    LanguageArm tight =
        common.with("moe.dispatcher=capacity", "moe.capacity-factor=1", "moe.losses.switch=0");
    return Experiment.of(
        "S23",
        "x",
        "x",
        List.of(
            Arm.of(
                "transport",
                "x",
                new MaskedArm(tight.with("moe.router=sparse-ot-token"))),
            Arm.of(
                "top-k",
                "x",
                new MaskedArm(tight.with("moe.router=softmax-top-k"))),
            Arm.of(
                "top-k, balance loss",
                "x",
                new MaskedArm(tight.with("moe.router=softmax-top-k", "moe.losses.switch=0.01")))),
        List.of(
            Criterion.better("transport", "top-k", Metric.IMBALANCE, 0.5, 0.1)),
        Set.of(Held.STEPS, Held.TOKENS, Held.PARAMETERS, Held.ACTIVE_PARAMETERS, Held.FLOPS));
  }
}

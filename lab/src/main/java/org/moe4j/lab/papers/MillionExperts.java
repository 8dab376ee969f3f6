package org.moe4j.lab.papers;

import java.util.List;
import java.util.Set;
import org.moe4j.lab.Arm;
import org.moe4j.lab.Criterion;
import org.moe4j.lab.Experiment;
import org.moe4j.lab.Held;
import org.moe4j.lab.LanguageArm;
import org.moe4j.lab.Metric;

/** S52: thousands of single neurons found by product keys, against wide experts and dense layers. */
final class MillionExperts {
  private MillionExperts() {}

  static Experiment experiment() {
    LanguageArm peer =
        LanguageArm.of(
            "moe.router=peer",
            "moe.top-k=8",
            "moe.expert-ffn=1",
            "moe.activation=gelu",
            "moe.options.heads=4",
            "moe.options.key-width=32",
            "moe.options.row-gradients=false");
    return Experiment.of(
        "S52",
        "x",
        "x",
        List.of(
            Arm.of("4096 neurons", "4 heads of 8", peer.with("moe.experts=4096")),
            Arm.of("1024 neurons", "4 heads of 8", peer.with("moe.experts=1024")),
            Arm.of("256 neurons", "the same", peer.with("moe.experts=256")),
            Arm.of(
                "wide experts",
                "wide",
                LanguageArm.of("moe.router=switch", "moe.experts=16", "moe.expert-ffn=128", "moe.activation=gelu")),
            Arm.of(
                "dense",
                "dense",
                LanguageArm.of("model.placement=none", "model.ffn=116","moe.activation=gelu"))),
        List.of(
            Criterion.better("4096 neurons", "dense", Metric.LOSS, 0.05, 0.01)),
        Set.of(Held.STEPS, Held.TOKENS));
  }
}

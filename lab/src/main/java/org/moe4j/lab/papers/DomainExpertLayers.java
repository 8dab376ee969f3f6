package org.moe4j.lab.papers;

import java.util.List;
import java.util.Set;
import org.moe4j.lab.Arm;
import org.moe4j.lab.Criterion;
import org.moe4j.lab.DomainArm;
import org.moe4j.lab.DomainArm.Quantities;
import org.moe4j.lab.Experiment;
import org.moe4j.lab.Held;
import org.moe4j.lab.LanguageArm;

/** S14: an expert for each labelled domain against a dense model. */
final class DomainExpertLayers {
  private DomainExpertLayers() {}

  static Experiment experiment() {
    return Experiment.of(
        "S14",
        "claim",
        "scale",
        List.of(
            Arm.of(
                "DEMix",
                "an expert for each domain in every layer",
                new DomainArm(LanguageArm.of("moe.router=demix", "moe.top-k=1", "moe.expert-ffn=256"))),
            Arm.of(
                "dense",
                "one network of an expert's width for all domains",
                new DomainArm(LanguageArm.of("model.placement=none", "model.ffn=256")))),
        List.of(
            Criterion.better("DEMix", "dense", Quantities.LABELLED, 0.05, 0.01),
            Criterion.better("DEMix", "dense", Quantities.UNLABELLED, 0.05, 0.01),
            Criterion.better("DEMix", "dense", Quantities.NEW, 0.02, 0.005),
            Criterion.better("DEMix", "dense", Quantities.MIXING, 0.02, 0.005),
            Criterion.notWorse("DEMix", "dense", Quantities.ADAPTED, 0.05),
            Criterion.better("DEMix", "dense", Quantities.FORGOTTEN, 0.1, 0.02),
            Criterion.better("DEMix", "dense", Quantities.REMOVED, 0.5, 0.05),
            Criterion.notWorse("DEMix", "dense", Quantities.OTHERS, 0.01)),
        Set.of(Held.STEPS, Held.TOKENS, Held.ACTIVE_PARAMETERS, Held.FLOPS));
  }
}

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
        "With an expert for each domain a model of the same work learns its domains better, mixes"
            + " experts by their posterior on text that nobody labelled, and gains or loses a"
            + " domain by one expert without harm to the others.",
        "The paper has eight domains of billions of words and models of 125 million"
            + " parameters and more. Here are three groups of WordNet's domains and Java from this"
            + " JDK's sources (or, where it comes without them, a fourth group). The new domain,"
            + " plants, lies between two that are known, animals and matter, as the paper's new"
            + " domains resemble some that it knows: texts on COVID-19 are near medicine, contracts"
            + " near law. In trials with a new domain that resembles none the mixture was 5 to 9"
            + " percent behind the dense model, since each expert has seen a quarter of the text"
            + " only. In domain 3 to 10 percent are to be expected. The new domain is learned in"
            + " 120 steps; on it alone the dense model, all of whose weights learn it, ends a"
            + " quarter below the one new expert; in the paper they are even. What can be removed"
            + " or mixed in the dense model is nothing, so it has 0 there.",
        List.of(
            Arm.of(
                "DEMix",
                "an expert of width 32 for each domain, in every layer; without labels, and on new"
                    + " text, the mixture under a prior cached from 100 sequences",
                new DomainArm(
                    LanguageArm.of("moe.router=demix", "moe.top-k=1", "moe.expert-ffn=32"))),
            Arm.of(
                "dense",
                "one network of width 32 for all domains, on the same batches, balanced too",
                new DomainArm(LanguageArm.of("model.placement=none", "model.ffn=32")))),
        List.of(
            Criterion.better("DEMix", "dense", Quantities.LABELLED, 0.05, 0.01),
            Criterion.better("DEMix", "dense", Quantities.UNLABELLED, 0.05, 0.01),
            Criterion.better("DEMix", "dense", Quantities.NEW, 0.02, 0.005),
            Criterion.better("DEMix", "dense", Quantities.MIXING, 0.03, 0.005),
            Criterion.better("DEMix", "dense", Quantities.ALL, 0.1, 0.02),
            Criterion.better("DEMix", "dense", Quantities.FORGOTTEN, 0.1, 0.02),
            Criterion.better("DEMix", "dense", Quantities.REMOVED, 0.5, 0.05),
            Criterion.notWorse("DEMix", "dense", Quantities.OTHERS, 0.01)),
        Set.of(Held.STEPS, Held.TOKENS, Held.ACTIVE_PARAMETERS, Held.FLOPS));
  }
}

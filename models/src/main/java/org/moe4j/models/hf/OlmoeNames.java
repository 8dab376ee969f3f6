package org.moe4j.models.hf;

import org.moe4j.models.Decoder;

/** OLMoE's names. */
final class OlmoeNames {
  private static final LlamaNames.ExpertNames NAMES =
      new LlamaNames.ExpertNames("mlp", "gate_proj.weight", "up_proj.weight", "down_proj.weight");

  private OlmoeNames() {}

  static WeightMap of(Decoder model, LlamaNames.Form form) {
    return LlamaNames.of(model, NAMES, form);
  }
}

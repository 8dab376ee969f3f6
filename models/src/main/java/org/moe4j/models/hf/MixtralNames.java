package org.moe4j.models.hf;

import org.moe4j.models.Decoder;

/** Mixtral's names (S34): w1 is the gate, w3 the up, w2 the down projection. */
final class MixtralNames {
  private static final LlamaNames.ExpertNames NAMES =
      new LlamaNames.ExpertNames("block_sparse_moe", "w1.weight", "w3.weight", "w2.weight");

  private MixtralNames() {}

  static WeightMap of(Decoder model, LlamaNames.Form form) {
    return LlamaNames.of(model, NAMES, form);
  }
}

package org.moe4j.models.gguf;

import org.moe4j.MoeConfig;

/** {@code llama}: Llama, Mistral and Mixtral. */
final class LlamaTarget extends GroupedTarget {
  @Override
  String label() {
    return "llama";
  }

  @Override
  boolean neighbours() {
    return true;
  }

  @Override
  boolean takesOutBias() {
    return true;
  }

  @Override
  SparseParts.Dense dense() {
    return SparseParts.Dense.ALL_OR_NONE;
  }

  @Override
  void routing(MoeConfig moe, Fit fit) {
    plainSoftmax(moe, true, fit);
  }
}

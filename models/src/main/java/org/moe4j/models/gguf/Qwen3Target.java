package org.moe4j.models.gguf;

import java.util.Set;
import org.moe4j.MoeConfig;
import org.moe4j.models.GroupedQueryConfig.QkNorm;

/** {@code qwen3moe} and {@code qwen3}: norms on the queries and keys of each head. */
final class Qwen3Target extends GroupedTarget {
  private final boolean sparse;

  Qwen3Target(boolean sparse) {
    this.sparse = sparse;
  }

  @Override
  String label() {
    return sparse ? "qwen3moe" : "qwen3";
  }

  @Override
  Set<QkNorm> qkNorms() {
    return Set.of(QkNorm.PER_HEAD);
  }

  @Override
  SparseParts.Dense dense() {
    return sparse ? SparseParts.Dense.NONE : SparseParts.Dense.ALL_OR_NONE;
  }

  @Override
  void routing(MoeConfig moe, Fit fit) {
    fit.require(sparse, "sparse layers");
    plainSoftmax(moe, true, fit);
  }
}

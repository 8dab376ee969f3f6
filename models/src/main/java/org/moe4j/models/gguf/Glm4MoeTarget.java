package org.moe4j.models.gguf;

import java.util.Set;
import org.moe4j.MoeConfig;
import org.moe4j.models.DecoderConfig;
import org.moe4j.models.GroupedQueryConfig;
import org.moe4j.models.GroupedQueryConfig.QkNorm;

/** {@code glm4moe}: DeepSeek-V3's experts behind grouped-query attention, partly rotated heads. */
final class Glm4MoeTarget extends GroupedTarget {
  @Override
  String label() {
    return "glm4moe";
  }

  @Override
  Set<QkNorm> qkNorms() {
    return Set.of(QkNorm.NONE, QkNorm.PER_HEAD);
  }

  @Override
  boolean rotatesPart() {
    return true;
  }

  @Override
  SparseParts.Dense dense() {
    return SparseParts.Dense.FIRST;
  }

  @Override
  String ffnNorm() {
    return "post_attention_norm";
  }

  @Override
  void routing(MoeConfig moe, Fit fit) {
    DeepseekTarget.deepseekGating(moe, fit);
    fit.require(moe.sharedWidth() > 0, "no shared expert");
    fit.require(
        SparseParts.gates(moe).filter(Gates::biased).isPresent(), "no bias of the selection");
  }

  @Override
  void more(DecoderConfig c, GroupedQueryConfig a, Keys keys) {
    keys.put("leading_dense_block_count", SparseParts.leading(c));
    SparseParts.moe(c).ifPresent(moe -> DeepseekTarget.deepseekGating(moe, keys));
  }
}

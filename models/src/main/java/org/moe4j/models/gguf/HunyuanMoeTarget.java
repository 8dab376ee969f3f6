package org.moe4j.models.gguf;

import java.util.Set;
import org.moe4j.MoeConfig;
import org.moe4j.models.DecoderConfig;
import org.moe4j.models.GroupedQueryConfig;
import org.moe4j.models.GroupedQueryConfig.QkNorm;

/** {@code hunyuan-moe}: norms on queries and keys behind the rotation, a shared expert. */
final class HunyuanMoeTarget extends GroupedTarget {
  @Override
  String label() {
    return "hunyuan-moe";
  }

  @Override
  Set<QkNorm> qkNorms() {
    return Set.of(QkNorm.PER_HEAD_ROTATED);
  }

  @Override
  void routing(MoeConfig moe, Fit fit) {
    softmax(moe, true, fit);
    fit.require(moe.sharedWidth() > 0, "no shared expert");
    fit.require(!moe.sharedGate(), "a gate on the shared expert");
  }

  @Override
  void more(DecoderConfig c, GroupedQueryConfig a, Keys keys) {
    SparseParts.moe(c)
        .ifPresent(moe -> keys.put("expert_shared_feed_forward_length", moe.sharedWidth()));
  }
}

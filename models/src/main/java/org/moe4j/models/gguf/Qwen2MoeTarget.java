package org.moe4j.models.gguf;

import org.moe4j.MoeConfig;
import org.moe4j.models.DecoderConfig;
import org.moe4j.models.GroupedQueryConfig;

/** {@code qwen2moe}: biases on queries, keys and values, a shared expert behind a gate. */
final class Qwen2MoeTarget extends GroupedTarget {
  @Override
  String label() {
    return "qwen2moe";
  }

  @Override
  boolean freeHeads() {
    return false;
  }

  @Override
  boolean readsTiedHead() {
    return false;
  }

  @Override
  void routing(MoeConfig moe, Fit fit) {
    softmax(moe, false, fit);
    fit.require(moe.sharedWidth() > 0, "no shared expert");
    fit.require(moe.sharedWidth() == 0 || moe.sharedGate(), "no gate on the shared expert");
  }

  @Override
  void more(DecoderConfig c, GroupedQueryConfig a, Keys keys) {
    SparseParts.moe(c)
        .ifPresent(moe -> keys.put("expert_shared_feed_forward_length", moe.sharedWidth()));
  }
}

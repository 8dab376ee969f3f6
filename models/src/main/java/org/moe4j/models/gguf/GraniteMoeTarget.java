package org.moe4j.models.gguf;

import org.moe4j.MoeConfig;
import org.moe4j.models.DecoderConfig;
import org.moe4j.models.GroupedQueryConfig;

/** {@code granitemoe}: four factors, and a shared expert added as it is, if there is one. */
final class GraniteMoeTarget extends GroupedTarget {
  @Override
  String label() {
    return "granitemoe";
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
  boolean takesMultipliers() {
    return true;
  }

  @Override
  void routing(MoeConfig moe, Fit fit) {
    softmax(moe, true, fit);
    fit.require(!moe.sharedGate(), "a gate on the shared expert");
  }

  @Override
  void more(DecoderConfig c, GroupedQueryConfig a, Keys keys) {
    SparseParts.moe(c)
        .filter(moe -> moe.sharedWidth() > 0)
        .ifPresent(moe -> keys.put("expert_shared_feed_forward_length", moe.sharedWidth()));
  }
}

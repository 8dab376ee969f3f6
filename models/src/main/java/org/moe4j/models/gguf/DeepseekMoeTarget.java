package org.moe4j.models.gguf;

import org.moe4j.MoeConfig;
import org.moe4j.models.DecoderConfig;
import org.moe4j.models.GroupedQueryConfig;

/** {@code deepseek}: DeepSeekMoE (S36), shared experts and dense layers first, plain attention. */
final class DeepseekMoeTarget extends GroupedTarget {
  @Override
  String label() {
    return "deepseek";
  }

  @Override
  boolean neighbours() {
    return true;
  }

  @Override
  boolean freeHeads() {
    return false;
  }

  @Override
  SparseParts.Dense dense() {
    return SparseParts.Dense.FIRST;
  }

  @Override
  void routing(MoeConfig moe, Fit fit) {
    softmax(moe, false, fit);
    fit.require(moe.sharedWidth() > 0, "no shared expert");
    fit.require(!moe.sharedGate(), "a gate on the shared expert");
    fit.require(
        moe.sharedWidth() % moe.expertWidth() == 0,
        "a shared expert that is no whole number of routed ones");
  }

  @Override
  void more(DecoderConfig c, GroupedQueryConfig a, Keys keys) {
    keys.put("leading_dense_block_count", SparseParts.leading(c));
    SparseParts.moe(c)
        .ifPresent(
            moe ->
                keys.put("expert_shared_count", moe.sharedWidth() / moe.expertWidth())
                    .put("expert_weights_scale", 1.0));
  }
}

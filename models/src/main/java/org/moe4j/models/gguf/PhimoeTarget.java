package org.moe4j.models.gguf;

import org.moe4j.MoeConfig;
import org.moe4j.models.DecoderConfig;
import org.moe4j.models.GroupedQueryConfig;
import org.moe4j.models.NormKind;

/**
 * {@code phimoe}: Phi-3.5-MoE as readers of these files have it, without the mean in its norms and
 * with a softmax in the place of SparseMixer.
 */
final class PhimoeTarget extends GroupedTarget {
  @Override
  String label() {
    return "phimoe";
  }

  @Override
  NormKind norm() {
    return NormKind.LAYER;
  }

  @Override
  boolean freeHeads() {
    return false;
  }

  @Override
  boolean takesOutBias() {
    return true;
  }

  @Override
  boolean takesHeadBias() {
    return true;
  }

  @Override
  boolean readsTiedHead() {
    return false;
  }

  @Override
  void routing(MoeConfig moe, Fit fit) {
    fit.require(moe.sharedWidth() == 0, "a shared expert");
    fit.require(moe.router().equals("grin") && moe.topK() == 2, "a router other than SparseMixer");
    fit.remark(
        true,
        "llama.cpp computes phimoe with norms that do not subtract the mean and with a softmax over"
            + " the two best experts instead of SparseMixer: its logits are close, not equal");
  }

  @Override
  void blank(DecoderConfig c, GroupedQueryConfig a, String at, TensorTable table) {
    if (!a.outBias()) {
      table.constant(at + "attn_output.bias", new float[c.hidden()]);
    }
    if (!c.headBias()) {
      table.constant("output.bias", new float[c.vocab()]);
    }
  }
}

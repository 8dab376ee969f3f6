package org.moe4j.models.gguf;

import org.moe4j.MoeConfig;
import org.moe4j.models.DecoderConfig;
import org.moe4j.models.GroupedQueryAttention;
import org.moe4j.models.GroupedQueryConfig;
import org.moe4j.models.NormKind;

/** {@code dbrx}: LayerNorm without shift, clamped queries, keys and values in one matrix. */
final class DbrxTarget extends GroupedTarget {
  @Override
  String label() {
    return "dbrx";
  }

  @Override
  NormKind norm() {
    return NormKind.LAYER_WITHOUT_SHIFT;
  }

  @Override
  String epsilonKey() {
    return "attention.layer_norm_epsilon";
  }

  @Override
  boolean freeHeads() {
    return false;
  }

  @Override
  boolean takesQkvBias() {
    return false;
  }

  @Override
  boolean takesClip() {
    return true;
  }

  @Override
  boolean readsTiedHead() {
    return false;
  }

  @Override
  String ffnNorm() {
    return "attn_output_norm";
  }

  @Override
  void routing(MoeConfig moe, Fit fit) {
    plainSoftmax(moe, true, fit);
  }

  @Override
  void more(DecoderConfig c, GroupedQueryConfig a, Keys keys) {
    keys.put("attention.clamp_kqv", a.clip());
  }

  @Override
  void further(DecoderConfig c, Fit fit) {
    if (c.attention() instanceof GroupedQueryConfig a) {
      fit.require(!a.rope().interleaved(), "rotation of neighbouring channels");
    }
  }

  @Override
  void attention(GroupedQueryAttention own, GroupedQueryConfig a, String at, TensorTable table) {
    table
        .weights()
        .tensor(
            at + "attn_qkv.weight",
            a.queryWidth() + 2L * a.kvWidth(),
            own.q().weight().tensor().size(1))
        .rows(a.queryWidth(), own.q().weight())
        .rows(a.kvWidth(), own.k().weight())
        .rows(a.kvWidth(), own.v().weight());
    table.linear(at + "attn_output", own.o());
  }
}

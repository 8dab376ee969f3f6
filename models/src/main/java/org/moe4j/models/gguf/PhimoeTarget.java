package org.moe4j.models.gguf;

import org.moe4j.MoeConfig;
import org.moe4j.models.DecoderConfig;
import org.moe4j.models.GroupedQueryConfig;
import org.moe4j.models.NormKind;

/**
 * {@code phimoe}: Phi-3.5-MoE (S57), for readers whose norms divide by the root mean square without
 * subtracting the mean, and which weigh two experts by a softmax over both instead of SparseMixer.
 *
 * <p>LayerNorm does not see a constant that is added to all channels. So everything that writes to
 * the residual stream is stored with the mean over its outputs subtracted: the stream has mean 0
 * then, where both norms are the same. SparseMixer gives each of its two experts the weight 1
 * unless a third one's logit is almost equal. Router weights near 0 make a softmax that gives each
 * 1/2, in an unchanged order, and doubled experts make that 1.
 */
final class PhimoeTarget extends GroupedTarget {
  /** A power of two, so that the router's weights stay exact. */
  private static final double FLAT = 0x1p-12;

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
        "phimoe files weigh both experts of a token equally; the model weighs them less where"
            + " another one's logit is almost equal");
  }

  @Override
  void changes(DecoderConfig c, TensorTable table) {
    table.change("token_embd.weight", w -> w.sub(w.mean(-1, true)));
    for (int i = 0; i < c.layers(); i++) {
      String at = "blk." + i + ".";
      table.change(at + "attn_output.weight", w -> w.sub(w.mean(-2, true)));
      table.change(at + "attn_output.bias", w -> w.sub(w.mean(-1, true)));
      table.change(at + "ffn_gate_inp.weight", w -> w.mul(FLAT));
      table.change(at + "ffn_down_exps.weight", w -> w.sub(w.mean(-2, true)).mul(2));
    }
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

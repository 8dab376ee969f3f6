package org.moe4j.models.gguf;

import org.moe4j.ExpertForm;
import org.moe4j.Gating;
import org.moe4j.MoeConfig;
import org.moe4j.models.DecoderConfig;
import org.moe4j.models.GroupedQueryConfig;

/** {@code gpt-oss}: attention sinks, a window in every other layer, biases everywhere. */
final class GptOssTarget extends GroupedTarget {
  @Override
  String label() {
    return "gpt-oss";
  }

  @Override
  boolean takesOutBias() {
    return true;
  }

  @Override
  boolean takesSinks() {
    return true;
  }

  @Override
  boolean takesWindows() {
    return true;
  }

  @Override
  boolean readsTiedHead() {
    return false;
  }

  @Override
  ExpertForm form() {
    return ExpertForm.GPT_OSS;
  }

  @Override
  String ffnNorm() {
    return "post_attention_norm";
  }

  @Override
  void routing(MoeConfig moe, Fit fit) {
    fit.require(moe.sharedWidth() == 0, "a shared expert");
    boolean late =
        moe.gating()
            .filter(g -> g.with(Gating.Rounding.NONE).equals(Gating.TOP_K_SOFTMAX))
            .isPresent();
    fit.require(late, "a gating other than the softmax of the chosen");
    fit.require(SparseParts.biased(moe), "no bias on the router's logits");
  }

  @Override
  void further(DecoderConfig c, Fit fit) {
    int window = c.window(0);
    boolean alternate = window > 0;
    for (int i = 0; i < c.layers(); i++) {
      alternate &= c.window(i) == (i % 2 == 0 ? window : 0);
    }
    fit.require(alternate, "windows elsewhere than in every other layer");
  }

  @Override
  void more(DecoderConfig c, GroupedQueryConfig a, Keys keys) {
    keys.put("attention.sliding_window", c.window(0));
  }

  @Override
  void blank(DecoderConfig c, GroupedQueryConfig a, String at, TensorTable table) {
    if (!a.outBias()) {
      table.constant(at + "attn_output.bias", new float[c.hidden()]);
    }
  }
}

package org.moe4j.models.gguf;

import org.moe4j.ExpertForm;
import org.moe4j.GroupLimit;
import org.moe4j.MoeConfig;
import org.moe4j.models.Decoder;
import org.moe4j.models.DecoderBlock;
import org.moe4j.models.DecoderConfig;
import org.moe4j.models.DecoderConfig.Multipliers;
import org.moe4j.models.LatentAttention;
import org.moe4j.models.LatentConfig;
import org.moe4j.models.Linear;
import org.moe4j.models.NormKind;
import org.moe4j.models.RopeConfig;
import org.moe4j.models.hf.DiskTensor;

/**
 * {@code deepseek2}: DeepSeek-V2 and V3, with latent attention in the absorbed form, in which the
 * keys' up projection is kept transposed and apart from that of the values.
 */
final class DeepseekTarget extends Target {
  private static final double ROUNDING = 1e-6;

  @Override
  String label() {
    return "deepseek2";
  }

  @Override
  void check(DecoderConfig c, Fit fit) {
    common(c, fit);
    windowless(c, fit);
    fit.require(c.norm() == NormKind.RMS, "norms of another kind");
    fit.require(!c.headBias(), "a bias on the logits");
    fit.require(
        c.multipliers().equals(Multipliers.NONE), "factors on embeddings, residuals or logits");
    if (c.attention() instanceof LatentConfig a) {
      attention(c, a, fit);
    } else {
      fit.require(false, "attention that is not latent");
    }
    SparseParts.check(c, SparseParts.Dense.FIRST, ExpertForm.SWIGLU, fit);
    SparseParts.moe(c).ifPresent(moe -> routing(moe, fit));
  }

  private static void attention(DecoderConfig c, LatentConfig a, Fit fit) {
    fit.require(!a.bias(), "biases in the attention");
    fit.require(
        a.normEps() == c.normEps(),
        "norms of compressed vectors with another epsilon than the other norms");
    RopeKeys.check(a.rope(), fit);
    double factor = scoreFactor(a);
    switch (a.rope().scaling()) {
      case RopeConfig.Scaling.Yarn s ->
          fit.require(
              Math.abs(s.magnitude() - 1) < ROUNDING && (s.factor() > 1 || isOne(factor)),
              "YaRN with a magnitude other than 1");
      case RopeConfig.Scaling.LongRope s -> fit.require(false, "LongRoPE");
      case RopeConfig.Scaling.None s -> plain(factor, fit);
      case RopeConfig.Scaling.Linear s -> plain(factor, fit);
      case RopeConfig.Scaling.Dynamic s -> plain(factor, fit);
    }
  }

  private static void plain(double factor, Fit fit) {
    fit.require(isOne(factor), "another scale of attention scores");
  }

  private static boolean isOne(double factor) {
    return Math.abs(factor - 1) < ROUNDING;
  }

  /** What scores are multiplied by besides the usual scale. */
  private static double scoreFactor(LatentConfig a) {
    return a.scale() == 0 ? 1 : a.scale() * Math.sqrt(a.queryDim());
  }

  private static void routing(MoeConfig moe, Fit fit) {
    deepseekGating(moe, fit);
    fit.require(moe.sharedWidth() > 0, "no shared expert");
  }

  /** The gating of DeepSeek's two kinds, and shared experts as wide as so many routed ones. */
  static void deepseekGating(MoeConfig moe, Fit fit) {
    fit.require(SparseParts.gates(moe).isPresent(), "its gating");
    fit.require(!SparseParts.biased(moe), "a bias on the router's logits");
    fit.require(!moe.sharedGate(), "a gate on the shared expert");
    fit.require(
        moe.sharedWidth() % moe.expertWidth() == 0,
        "a shared expert that is no whole number of routed ones");
    SparseParts.gates(moe)
        .ifPresent(
            g ->
                fit.remark(
                    !g.limit().equals(GroupLimit.NONE)
                        && g.limit().score() == GroupLimit.GroupScore.MAX,
                    "llama.cpp rates groups of experts by their two best, this model by the best"
                        + " alone: some tokens choose other experts"));
  }

  /** Keys of the gating and of shared experts. */
  static void deepseekGating(MoeConfig moe, Keys keys) {
    Gates gates = SparseParts.gates(moe).orElseThrow();
    keys.put("expert_shared_count", moe.sharedWidth() / moe.expertWidth())
        .put("expert_gating_func", gates.sigmoid() ? 2 : 1)
        .put("expert_weights_norm", gates.normalised())
        .put("expert_weights_scale", gates.scale());
    if (!gates.limit().equals(GroupLimit.NONE)) {
      keys.put("expert_group_count", gates.limit().groups())
          .put("expert_group_used_count", gates.limit().kept());
    }
  }

  @Override
  void write(Decoder model, Keys keys, TensorTable table) {
    DecoderConfig c = model.config();
    LatentConfig a = (LatentConfig) c.attention();
    common(c, keys);
    keys.put("attention.head_count", a.heads())
        .put("attention.head_count_kv", 1)
        .put("attention.key_length", a.kvRank() + a.ropeDim())
        .put("attention.value_length", a.kvRank())
        .put("attention.key_length_mla", a.queryDim())
        .put("attention.value_length_mla", a.valueDim())
        .put("attention.q_lora_rank", a.queryRank())
        .put("attention.kv_lora_rank", a.kvRank())
        .put("attention.layer_norm_rms_epsilon", c.normEps())
        .put("leading_dense_block_count", SparseParts.leading(c));
    rope(a, keys, table);
    SparseParts.keys(c, keys);
    SparseParts.moe(c).ifPresent(moe -> deepseekGating(moe, keys));
    tensors(model, a, table);
  }

  /**
   * Readers take 0.1 times the logarithm of the stretch for the scores' factor and leave cosines
   * and sines as they are; without it they take the usual magnitude, which is cancelled here.
   */
  private static void rope(LatentConfig a, Keys keys, TensorTable table) {
    if (!(a.rope().scaling() instanceof RopeConfig.Scaling.Yarn s)) {
      RopeKeys.write(a.rope(), a.ropeDim(), keys, table);
      return;
    }
    keys.put("rope.dimension_count", a.ropeDim()).put("rope.freq_base", a.rope().theta());
    RopeKeys.yarn(s, keys);
    double factor = scoreFactor(a);
    if (isOne(factor)) {
      RopeKeys.magnitude(1 / RopeKeys.magnitude(s.factor()), keys);
    } else {
      keys.put("rope.scaling.yarn_log_multiplier", (Math.sqrt(factor) - 1) / Math.log(s.factor()));
    }
  }

  private static void tensors(Decoder model, LatentConfig a, TensorTable table) {
    table.whole("token_embd.weight", model.embedding());
    for (int i = 0; i < model.blocks().size(); i++) {
      DecoderBlock block = model.blocks().get(i);
      String at = "blk." + i + ".";
      int layer = i;
      table.norm(at + "attn_norm", block.attentionNorm());
      attention((LatentAttention) block.attention(), a, at, table);
      table.norm(at + "ffn_norm", block.ffnNorm());
      block.dense().ifPresent(d -> SparseParts.dense(table, at, d));
      block
          .moe()
          .ifPresent(moe -> SparseParts.sparse(table, at, moe, GroupedTarget.gate(model, layer)));
    }
    table.norm("output_norm", model.norm());
    if (!model.config().tiedEmbeddings()) {
      table.whole("output.weight", model.head());
    }
  }

  private static void attention(LatentAttention own, LatentConfig a, String at, TensorTable table) {
    long heads = a.heads();
    long plain = a.plainDim();
    Pairing pairing = Pairing.of(a.rope(), true);
    own.q().ifPresent(q -> queries(table, at + "attn_q.weight", q, a, pairing));
    own.qCompressed()
        .ifPresent(
            q -> {
              table.linear(at + "attn_q_a", q.down());
              table.norm(at + "attn_q_a_norm", q.norm());
              queries(table, at + "attn_q_b.weight", q.up(), a, pairing);
            });
    long width = own.kvDown().weight().tensor().size(1);
    table
        .weights()
        .tensor(at + "attn_kv_a_mqa.weight", a.kvRank() + a.ropeDim(), width)
        .rows(a.kvRank(), own.kvDown().weight(), w -> w.narrow(0, 0, a.kvRank()))
        .rows(
            a.ropeDim(),
            own.kvDown().weight(),
            w -> pairing.rows(1).apply(w.narrow(0, a.kvRank(), a.ropeDim())));
    table.norm(at + "attn_kv_a_norm", own.kvNorm());
    long both = plain + a.valueDim();
    table
        .weights()
        .tensor(at + "attn_k_b.weight", heads, a.kvRank(), plain)
        .all(
            own.kvUp().weight(),
            w -> w.view(heads, both, a.kvRank()).narrow(1, 0, plain).transpose(1, 2));
    table
        .weights()
        .tensor(at + "attn_v_b.weight", heads, a.valueDim(), a.kvRank())
        .all(
            own.kvUp().weight(),
            w -> w.view(heads, both, a.kvRank()).narrow(1, plain, a.valueDim()));
    table.linear(at + "attn_output", own.o());
  }

  /** Channels without positions first, then those with them, head by head. */
  private static void queries(
      TensorTable table, String name, Linear up, LatentConfig a, Pairing pairing) {
    if (pairing == Pairing.SAME) {
      table.whole(name, up.weight());
      return;
    }
    long[] shape = up.weight().tensor().shape();
    DiskTensor tensor = table.weights().tensor(name, shape);
    for (int h = 0; h < a.heads(); h++) {
      long first = (long) h * a.queryDim();
      tensor
          .rows(a.plainDim(), up.weight(), w -> w.narrow(0, first, a.plainDim()))
          .rows(
              a.ropeDim(),
              up.weight(),
              w -> pairing.rows(1).apply(w.narrow(0, first + a.plainDim(), a.ropeDim())));
    }
  }
}

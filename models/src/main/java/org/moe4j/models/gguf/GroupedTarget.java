package org.moe4j.models.gguf;

import java.util.Optional;
import java.util.Set;
import org.moe4j.ExpertForm;
import org.moe4j.MoeConfig;
import org.moe4j.Parameter;
import org.moe4j.models.Decoder;
import org.moe4j.models.DecoderBlock;
import org.moe4j.models.DecoderConfig;
import org.moe4j.models.DecoderConfig.Multipliers;
import org.moe4j.models.GroupedQueryAttention;
import org.moe4j.models.GroupedQueryConfig;
import org.moe4j.models.GroupedQueryConfig.QkNorm;
import org.moe4j.models.Linear;
import org.moe4j.models.NormKind;
import org.moe4j.models.RmsNorm;

/**
 * Llama's block, with grouped-query attention. Each architecture says what it does otherwise; what
 * is here are the facts of llama.cpp's graphs.
 */
abstract class GroupedTarget extends Target {
  private static final double ROUNDING = 1e-6;

  /** True if rotary embedding pairs neighbouring channels, false if those of the two halves. */
  boolean neighbours() {
    return false;
  }

  NormKind norm() {
    return NormKind.RMS;
  }

  Set<QkNorm> qkNorms() {
    return Set.of(QkNorm.NONE);
  }

  /** True if heads times their channels may be another number than the hidden size. */
  boolean freeHeads() {
    return true;
  }

  boolean takesQkvBias() {
    return true;
  }

  boolean takesOutBias() {
    return false;
  }

  /** True if only the first channels of a head may be rotated. */
  boolean rotatesPart() {
    return false;
  }

  boolean takesClip() {
    return false;
  }

  boolean takesSinks() {
    return false;
  }

  /** True for Granite's factors, that of the attention's scores among them. */
  boolean takesMultipliers() {
    return false;
  }

  boolean takesHeadBias() {
    return false;
  }

  boolean takesWindows() {
    return false;
  }

  SparseParts.Dense dense() {
    return SparseParts.Dense.NONE;
  }

  ExpertForm form() {
    return ExpertForm.SWIGLU;
  }

  /** True if the output projection may be left out of a file where it is the embedding. */
  boolean readsTiedHead() {
    return true;
  }

  String epsilonKey() {
    return "attention.layer_norm_rms_epsilon";
  }

  /** The norm before the feed-forward half. */
  String ffnNorm() {
    return "ffn_norm";
  }

  /** Checks gating and shared expert. */
  abstract void routing(MoeConfig moe, Fit fit);

  /** Keys beyond those of all. */
  void more(DecoderConfig c, GroupedQueryConfig a, Keys keys) {}

  /** No shared expert and a softmax that is or is not renormalised. */
  static void plainSoftmax(MoeConfig moe, boolean normalised, Fit fit) {
    fit.require(moe.sharedWidth() == 0, "a shared expert");
    softmax(moe, normalised, fit);
  }

  static void softmax(MoeConfig moe, boolean normalised, Fit fit) {
    fit.require(
        SparseParts.gates(moe).filter(g -> g.isSoftmax(normalised)).isPresent(),
        "its gating (" + (normalised ? "" : "not ") + "renormalised softmax alone is known)");
    fit.require(!SparseParts.biased(moe), "a bias on the router's logits");
  }

  @Override
  final void check(DecoderConfig c, Fit fit) {
    common(c, fit);
    fit.require(c.norm() == norm(), "norms of another kind");
    fit.require(!c.headBias() || takesHeadBias(), "a bias on the logits");
    fit.require(
        takesMultipliers() || c.multipliers().equals(Multipliers.NONE),
        "factors on embeddings, residuals or logits");
    if (!takesWindows()) {
      windowless(c, fit);
    }
    if (c.attention() instanceof GroupedQueryConfig a) {
      attention(c, a, fit);
      RopeKeys.check(a.rope(), fit);
    } else {
      fit.require(false, "another kind of attention");
    }
    SparseParts.check(c, dense(), form(), fit);
    SparseParts.moe(c).ifPresent(moe -> routing(moe, fit));
    further(c, fit);
  }

  /** Checks beyond those of all. */
  void further(DecoderConfig c, Fit fit) {}

  private void attention(DecoderConfig c, GroupedQueryConfig a, Fit fit) {
    fit.require(
        qkNorms().contains(a.qkNorm()),
        a.qkNorm() == QkNorm.NONE
            ? "no norms on queries and keys"
            : "norms on queries and keys (" + a.qkNorm() + ")");
    fit.require(freeHeads() || a.queryWidth() == c.hidden(), "heads not as wide as the model");
    fit.require(takesQkvBias() || !a.qkvBias(), "biases on queries, keys and values");
    fit.require(takesOutBias() || !a.outBias(), "a bias on the attention's output");
    fit.require(takesClip() || a.clip() == 0, "clamped queries, keys and values");
    fit.require(takesSinks() == a.sinks(), a.sinks() ? "attention sinks" : "no attention sinks");
    boolean plain = Math.abs(scale(a) * Math.sqrt(a.headDim()) - 1) < ROUNDING;
    fit.require(plain || takesMultipliers(), "another scale of attention scores");
    boolean whole = a.rope().rotatedOf(a.headDim()) == a.headDim();
    fit.require(whole || (rotatesPart() && pairing(a) == Pairing.SAME), "partly rotated heads");
  }

  private static double scale(GroupedQueryConfig a) {
    return a.scale() == 0 ? 1 / Math.sqrt(a.headDim()) : a.scale();
  }

  private Pairing pairing(GroupedQueryConfig a) {
    return Pairing.of(a.rope(), neighbours());
  }

  @Override
  final void write(Decoder model, Keys keys, TensorTable table) {
    DecoderConfig c = model.config();
    GroupedQueryConfig a = (GroupedQueryConfig) c.attention();
    common(c, keys);
    keys.put("attention.head_count", a.heads())
        .put("attention.head_count_kv", a.kvHeads())
        .put("attention.key_length", a.headDim())
        .put("attention.value_length", a.headDim());
    keys.put(epsilonKey(), c.normEps());
    RopeKeys.write(a.rope(), a.rope().rotatedOf(a.headDim()), keys, table);
    if (takesMultipliers()) {
      keys.put("attention.scale", scale(a))
          .put("embedding_scale", c.multipliers().embedding())
          .put("residual_scale", c.multipliers().residual())
          .put("logit_scale", 1 / c.multipliers().logits());
    }
    SparseParts.keys(c, keys);
    more(c, a, keys);
    tensors(model, a, table);
    changes(c, table);
  }

  /** What is done to tensors before they are stored. */
  void changes(DecoderConfig c, TensorTable table) {}

  private void tensors(Decoder model, GroupedQueryConfig a, TensorTable table) {
    table.whole("token_embd.weight", model.embedding());
    for (int i = 0; i < model.blocks().size(); i++) {
      DecoderBlock block = model.blocks().get(i);
      String at = "blk." + i + ".";
      table.norm(at + "attn_norm", block.attentionNorm());
      attention((GroupedQueryAttention) block.attention(), a, at, table);
      table.norm(at + ffnNorm(), block.ffnNorm());
      block.dense().ifPresent(d -> SparseParts.dense(table, at, d));
      Parameter gate = block.moe().isEmpty() ? null : gate(model, i);
      block.moe().ifPresent(moe -> SparseParts.sparse(table, at, moe, gate));
      blank(model.config(), a, at, table);
    }
    table.norm("output_norm", model.norm());
    if (!model.config().tiedEmbeddings() || !readsTiedHead()) {
      table.whole("output.weight", model.head());
    }
    model.headBias().ifPresent(b -> table.whole("output.bias", b));
  }

  static Parameter gate(Decoder model, int layer) {
    return model.parameters().named("layers." + layer + ".moe.gate.weight");
  }

  /** Vectors that the architecture insists on and the decoder does not have. */
  void blank(DecoderConfig c, GroupedQueryConfig a, String at, TensorTable table) {}

  /** Queries, keys and values each of their own. */
  void attention(GroupedQueryAttention own, GroupedQueryConfig a, String at, TensorTable table) {
    turned(table, at + "attn_q", own.q(), pairing(a), a.heads());
    turned(table, at + "attn_k", own.k(), pairing(a), a.kvHeads());
    table.linear(at + "attn_v", own.v());
    table.linear(at + "attn_output", own.o());
    headNorm(table, at + "attn_q_norm.weight", own.qNorm(), a, a.heads());
    headNorm(table, at + "attn_k_norm.weight", own.kNorm(), a, a.kvHeads());
    own.sinks().ifPresent(s -> table.whole(at + "attn_sinks.weight", s));
  }

  private void headNorm(
      TensorTable table, String name, Optional<RmsNorm> norm, GroupedQueryConfig a, int heads) {
    int rows = a.qkNorm() == QkNorm.WHOLE ? heads : 1;
    norm.ifPresent(n -> table.turned(name, n.weight(), pairing(a).rows(rows)));
  }

  private static void turned(
      TensorTable table, String at, Linear linear, Pairing pairing, int heads) {
    table.turned(at + ".weight", linear.weight(), pairing.rows(heads));
    linear.bias().ifPresent(b -> table.turned(at + ".bias", b, pairing.rows(heads)));
  }
}

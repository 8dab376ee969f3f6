package org.moe4j.models;

import java.util.Optional;
import org.jspecify.annotations.Nullable;
import org.moe4j.FeedForward;
import org.moe4j.InitScheme;
import org.moe4j.MoeLayer;
import org.moe4j.MoeOutput;
import org.moe4j.ParameterStore;
import org.moe4j.Role;
import org.moe4j.TokenContext;
import org.moe4j.tensor.Device;
import org.moe4j.tensor.Tensor;

/** One pre-norm block: {@code h = x + attention(norm(x))}, {@code y = h + ffn(norm(h))}. */
public final class DecoderBlock {
  private final int layer;
  private final Norm attentionNorm;
  private final Attention attention;
  private final Norm ffnNorm;
  private final @Nullable FeedForward dense;
  private final @Nullable MoeLayer moe;

  /** The block's output and, from a sparse layer, what it did. */
  record Result(Tensor output, Optional<MoeOutput> moe) {}

  DecoderBlock(ParameterStore store, DecoderConfig config, int layer, Rope rope) {
    this.layer = layer;
    int d = config.hidden();
    this.attentionNorm = Norm.of(config.norm(), store, "attn_norm", d, config.normEps());
    this.attention = new Attention(store.under("attn"), config, layer, rope);
    this.ffnNorm = Norm.of(config.norm(), store, "ffn_norm", d, config.normEps());
    switch (config.feedForward().get(layer)) {
      case FeedForwardConfig.Dense f -> {
        this.dense =
            new FeedForward(
                f.form(), d, f.width(), Role.NON_EXPERT, InitScheme.NORMAL, store.under("ffn"));
        this.moe = null;
      }
      case FeedForwardConfig.Moe f -> {
        this.dense = null;
        this.moe = new MoeLayer(f.moe(), store.under("moe"), layer);
      }
    }
  }

  /** {@code x [B,S,d]}, whole sequences. */
  Result apply(Tensor x, TokenContext context) {
    Tensor h =
        x.device() == Device.CPU && attentionNorm instanceof RmsNorm norm
            ? AttentionHalf.apply(x, norm, attention)
            : x.add(attention.apply(attentionNorm.apply(x)));
    return feedForward(h, context);
  }

  /** {@code x [B,S,d]}, the tokens that follow those in {@code cache}. */
  Result apply(Tensor x, TokenContext context, KvCache cache) {
    return feedForward(x.add(attention.apply(attentionNorm.apply(x), cache)), context);
  }

  private Result feedForward(Tensor h, TokenContext context) {
    Tensor normed = ffnNorm.apply(h);
    if (dense != null) {
      return new Result(h.add(dense.forward(normed)), Optional.empty());
    }
    if (moe == null) {
      throw new AssertionError("a block is dense or sparse");
    }
    Tensor tokens = normed.view(context.tokens(), normed.size(-1));
    MoeOutput out = moe.forward(tokens, context.atLayer(layer));
    return new Result(h.add(out.output().view(h.shape())), Optional.of(out));
  }

  /** The norm before attention. */
  public Norm attentionNorm() {
    return attentionNorm;
  }

  /** The attention. */
  public Attention attention() {
    return attention;
  }

  /** The norm before the feed-forward half. */
  public Norm ffnNorm() {
    return ffnNorm;
  }

  /** The dense feed-forward network, if this block has one. */
  public Optional<FeedForward> dense() {
    return Optional.ofNullable(dense);
  }

  /** The sparse layer, if this block has one. */
  public Optional<MoeLayer> moe() {
    return Optional.ofNullable(moe);
  }
}

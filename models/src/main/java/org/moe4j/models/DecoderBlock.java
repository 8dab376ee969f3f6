package org.moe4j.models;

import java.util.Optional;
import org.jspecify.annotations.Nullable;
import org.moe4j.FeedForward;
import org.moe4j.MoeLayer;
import org.moe4j.MoeOutput;
import org.moe4j.ParameterStore;
import org.moe4j.Role;
import org.moe4j.TokenContext;
import org.moe4j.models.DecoderConfig.NormPlacement;
import org.moe4j.tensor.Device;
import org.moe4j.tensor.Tensor;

/**
 * One block: {@code h = x + attention(norm(x))}, {@code y = h + ffn(norm(h))}; with norms behind
 * the branches where the configuration says so.
 */
public final class DecoderBlock {
  private final int layer;
  private final NormPlacement placement;
  private final double residual;
  private final Norm attentionNorm;
  private final Attention attention;
  private final Norm ffnNorm;
  private final @Nullable FeedForward dense;
  private final @Nullable MoeLayer moe;

  /** The block's output and, from a sparse layer, what it did. */
  record Result(Tensor output, Optional<MoeOutput> moe) {}

  DecoderBlock(ParameterStore store, DecoderConfig config, int layer, Rope rope) {
    this.layer = layer;
    this.placement = config.placement();
    this.residual = config.multipliers().residual();
    int d = config.hidden();
    this.attentionNorm = Norm.of(config.norm(), store, "attn_norm", d, config.normEps());
    this.attention = Attention.of(store.under("attn"), config, layer, rope);
    this.ffnNorm = Norm.of(config.norm(), store, "ffn_norm", d, config.normEps());
    switch (config.feedForward().get(layer)) {
      case FeedForwardConfig.Dense f -> {
        this.dense =
            new FeedForward(f.form(), d, f.width(), Role.NON_EXPERT, f.init(), store.under("ffn"));
        this.moe = null;
      }
      case FeedForwardConfig.Moe f -> {
        this.dense = null;
        this.moe = new MoeLayer(f.moe(), store.under("moe"), layer);
      }
    }
  }

  /**
   * {@code x [B,S,d]}, to the same shape.
   *
   * @param cache of the tokens before; null if x are whole sequences
   */
  Result apply(Tensor x, TokenContext context, Span span, @Nullable KvCache cache) {
    Optional<GroupedQueryAttention> plain = attention.plain();
    boolean fused =
        cache == null
            && span.aligned()
            && x.device() == Device.CPU
            && placement == NormPlacement.PRE
            && residual == 1;
    if (fused && plain.isPresent() && attentionNorm instanceof RmsNorm norm) {
      return feedForward(AttentionHalf.apply(x, norm, plain.get()), context);
    }
    Tensor h =
        switch (placement) {
          case PRE -> plus(x, attention.apply(attentionNorm.apply(x), context, span, cache));
          case POST -> plus(x, attentionNorm.apply(attention.apply(x, context, span, cache)));
        };
    return feedForward(h, context);
  }

  private Tensor plus(Tensor x, Tensor branch) {
    return x.add(residual == 1 ? branch : branch.mul(residual));
  }

  private Result feedForward(Tensor h, TokenContext context) {
    Tensor in = placement == NormPlacement.PRE ? ffnNorm.apply(h) : h;
    MoeOutput sparse = null;
    Tensor branch;
    if (dense != null) {
      branch = dense.forward(in);
    } else if (moe != null) {
      sparse = moe.forward(in.reshape(context.tokens(), in.size(-1)), context.atLayer(layer));
      branch = sparse.output().view(h.shape());
    } else {
      throw new AssertionError("a block is dense or sparse");
    }
    Tensor y = plus(h, placement == NormPlacement.PRE ? branch : ffnNorm.apply(branch));
    return new Result(y, Optional.ofNullable(sparse));
  }

  /** The norm of the attention half. */
  public Norm attentionNorm() {
    return attentionNorm;
  }

  /** The attention. */
  public Attention attention() {
    return attention;
  }

  /** The norm of the feed-forward half. */
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

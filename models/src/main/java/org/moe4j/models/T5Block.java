package org.moe4j.models;

import java.util.Optional;
import java.util.function.IntFunction;
import org.jspecify.annotations.Nullable;
import org.moe4j.Experts;
import org.moe4j.FeedForward;
import org.moe4j.InitScheme;
import org.moe4j.MoeConfig;
import org.moe4j.MoeLayer;
import org.moe4j.MoeOutput;
import org.moe4j.ParameterStore;
import org.moe4j.Role;
import org.moe4j.TokenContext;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.Scope;
import org.moe4j.tensor.Tensor;

/**
 * One pre-norm block of a T5 stack: self-attention, in a decoder attention to the encoder's output,
 * and a dense or sparse feed-forward half.
 */
public final class T5Block {
  /** Within this of F16's largest number nothing overflows in the sums that follow. */
  private static final double F16_MARGIN = 1000;

  private static final double F16_LARGEST = 65504;

  private final RmsNorm selfNorm;
  private final T5Attention self;
  private final @Nullable RmsNorm crossNorm;
  private final @Nullable T5Attention cross;
  private final RmsNorm ffnNorm;
  private final @Nullable FeedForward dense;
  private final @Nullable MoeLayer moe;

  /** The block's output and, from a sparse layer, what it did. */
  record Result(Tensor output, Optional<MoeOutput> moe) {}

  /**
   * Makes the block's parameters in {@code store}.
   *
   * @param layer its index among all blocks of the model, the encoder's first
   * @param decodes whether it is a decoder's
   * @param experts gives a sparse layer its experts by index; null if they are the model's own
   */
  T5Block(
      ParameterStore store,
      EncoderDecoderConfig config,
      FeedForwardConfig feedForward,
      int layer,
      boolean decodes,
      @Nullable IntFunction<Experts> experts) {
    int d = config.hidden();
    double eps = config.normEps();
    this.selfNorm = new RmsNorm(store, "attn_norm", d, eps);
    this.self = new T5Attention(store.under("attn"), config);
    this.crossNorm = decodes ? new RmsNorm(store, "cross_norm", d, eps) : null;
    this.cross = decodes ? new T5Attention(store.under("cross"), config) : null;
    this.ffnNorm = new RmsNorm(store, "ffn_norm", d, eps);
    switch (feedForward) {
      case FeedForwardConfig.Dense f -> {
        this.dense =
            new FeedForward(
                f.form(), d, f.width(), Role.NON_EXPERT, InitScheme.T5, store.under("ffn"));
        this.moe = null;
      }
      case FeedForwardConfig.Moe f -> {
        this.dense = null;
        this.moe = sparse(f.moe(), store.under("moe"), config, layer, experts);
      }
    }
  }

  private static MoeLayer sparse(
      MoeConfig moe,
      ParameterStore store,
      EncoderDecoderConfig config,
      int layer,
      @Nullable IntFunction<Experts> experts) {
    MoeLayer made =
        experts == null
            ? new MoeLayer(moe, store, layer)
            : MoeLayer.around(experts.apply(layer), moe, store, layer);
    return made.withRouter(r -> new SwitchGate(r, config.capacity()));
  }

  /** Keys and values of {@code x [B,S,d]}, the block's input, for its self-attention. */
  T5Attention.KeysValues keysValues(Tensor x) {
    return self.keysValues(selfNorm.apply(x));
  }

  /** Keys and values of the encoder's output {@code [B,N,d]}. */
  T5Attention.KeysValues crossKeysValues(Tensor encoded) {
    return crossAttention().keysValues(encoded);
  }

  /** {@code x [B,S,d]} of an encoder block, whole sequences. */
  Result encode(Tensor x, Tensor bias, TokenContext context) {
    Tensor h = Scope.of(() -> attended(x, keysValues(x), bias));
    return feedForward(h, context);
  }

  /**
   * {@code x [B,S,d]} of a decoder block.
   *
   * @param own keys and values of all tokens up to the last of x
   * @param bias of the self-attention's scores
   * @param encoded keys and values of the encoder's output
   * @param mask of the cross-attention's scores; null if all are seen
   */
  Result decode(
      Tensor x,
      T5Attention.KeysValues own,
      Tensor bias,
      T5Attention.KeysValues encoded,
      @Nullable Tensor mask,
      TokenContext context) {
    Tensor h = Scope.of(() -> crossed(attended(x, own, bias), encoded, mask));
    return feedForward(h, context);
  }

  private Tensor attended(Tensor x, T5Attention.KeysValues own, Tensor bias) {
    return finite(x.add(self.apply(selfNorm.apply(x), own, bias)));
  }

  private Tensor crossed(Tensor h, T5Attention.KeysValues encoded, @Nullable Tensor mask) {
    if (crossNorm == null) {
      throw new IllegalStateException("an encoder's block");
    }
    return finite(h.add(crossAttention().apply(crossNorm.apply(h), encoded, mask)));
  }

  private T5Attention crossAttention() {
    if (cross == null) {
      throw new IllegalStateException("an encoder's block");
    }
    return cross;
  }

  private Result feedForward(Tensor h, TokenContext context) {
    if (dense != null) {
      FeedForward network = dense;
      Tensor y = Scope.of(() -> finite(h.add(network.forward(ffnNorm.apply(h)))));
      return new Result(y, Optional.empty());
    }
    if (moe == null) {
      throw new AssertionError("a block is dense or sparse");
    }
    Tensor tokens = ffnNorm.apply(h).reshape(context.tokens(), h.size(-1));
    MoeOutput out = moe.forward(tokens, context);
    return new Result(finite(h.add(out.output().view(h.shape()))), Optional.of(out));
  }

  /** T5's residual streams leave F16's range, where they are held at its ends. */
  private static Tensor finite(Tensor x) {
    if (x.dtype() != DType.F16) {
      return x;
    }
    boolean within = x.abs().max().item() <= F16_LARGEST;
    double limit = within ? F16_LARGEST : F16_LARGEST - F16_MARGIN;
    return x.clamp(-limit, limit);
  }

  /** The norm before self-attention. */
  public RmsNorm selfNorm() {
    return selfNorm;
  }

  /** The self-attention. */
  public T5Attention self() {
    return self;
  }

  /** The norm before the attention to the encoder's output, in a decoder. */
  public Optional<RmsNorm> crossNorm() {
    return Optional.ofNullable(crossNorm);
  }

  /** The attention to the encoder's output, in a decoder. */
  public Optional<T5Attention> cross() {
    return Optional.ofNullable(cross);
  }

  /** The norm before the feed-forward half. */
  public RmsNorm ffnNorm() {
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

package org.moe4j.models;

import org.jspecify.annotations.Nullable;
import org.moe4j.ParameterStore;
import org.moe4j.tensor.Ops;
import org.moe4j.tensor.Tensor;

/**
 * T5's multi-head attention, of a stack to itself or to another's output: no biases in the
 * projections, scores not scaled, an inner width H*D that need not be the model's.
 */
public final class T5Attention {
  /** Keys and values of N tokens, [B,H,N,D] each. */
  record KeysValues(Tensor keys, Tensor values) {}

  private final int heads;
  private final int headDim;
  private final Linear q;
  private final Linear k;
  private final Linear v;
  private final Linear o;

  T5Attention(ParameterStore store, EncoderDecoderConfig config) {
    this.heads = config.heads();
    this.headDim = config.headDim();
    int d = config.hidden();
    int inner = config.inner();
    // The missing scale of the scores is in the start of the query projection.
    this.q = new Linear(store, "q_proj", inner, d, false, 1 / Math.sqrt((double) d * headDim));
    this.k = new Linear(store, "k_proj", inner, d, false, 1 / Math.sqrt(d));
    this.v = new Linear(store, "v_proj", inner, d, false, 1 / Math.sqrt(d));
    this.o = new Linear(store, "o_proj", d, inner, false, 1 / Math.sqrt(inner));
  }

  /** Keys and values of {@code source [B,N,d]}. */
  KeysValues keysValues(Tensor source) {
    return new KeysValues(split(k.apply(source)), split(v.apply(source)));
  }

  /**
   * {@code x [B,S,d]} to [B,S,d].
   *
   * @param bias added to the scores, broadcast to [B,H,S,N]; null for none
   */
  Tensor apply(Tensor x, KeysValues source, @Nullable Tensor bias) {
    Tensor mixed = Ops.attention(split(q.apply(x)), source.keys(), source.values(), bias, false, 1);
    return o.apply(mixed.transpose(1, 2).reshape(x.size(0), x.size(1), (long) heads * headDim));
  }

  /** [B,S,H*D] to [B,H,S,D]. */
  private Tensor split(Tensor x) {
    return x.view(x.size(0), x.size(1), heads, headDim).transpose(1, 2);
  }

  /** The query projection [H*D, d]. */
  public Linear q() {
    return q;
  }

  /** The key projection [H*D, d]. */
  public Linear k() {
    return k;
  }

  /** The value projection [H*D, d]. */
  public Linear v() {
    return v;
  }

  /** The output projection [d, H*D]. */
  public Linear o() {
    return o;
  }
}

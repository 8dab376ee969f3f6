package org.moe4j.models;

import java.util.Optional;
import org.jspecify.annotations.Nullable;
import org.moe4j.Parameter;
import org.moe4j.ParameterStore;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.Device;
import org.moe4j.tensor.Ops;
import org.moe4j.tensor.OwnGradient;
import org.moe4j.tensor.Tensor;

/**
 * Causal grouped-query self-attention with rotary positions and no biases: query head h reads key
 * head {@code h * K / H}; scores are scaled by D^-1/2.
 */
public final class Attention {
  private final AttentionConfig config;
  private final int layer;
  private final Rope rope;
  private final Linear q;
  private final Linear k;
  private final Linear v;
  private final Linear o;
  private final @Nullable RmsNorm qNorm;
  private final @Nullable RmsNorm kNorm;

  Attention(ParameterStore store, DecoderConfig decoder, int layer, Rope rope) {
    this.config = decoder.attention();
    this.layer = layer;
    this.rope = rope;
    int d = decoder.hidden();
    double std = decoder.initStd();
    this.q = new Linear(store, "q_proj", config.queryWidth(), d, std);
    this.k = new Linear(store, "k_proj", config.kvWidth(), d, std);
    this.v = new Linear(store, "v_proj", config.kvWidth(), d, std);
    this.o = new Linear(store, "o_proj", d, config.queryWidth(), std);
    boolean norms = config.qkNorm() == AttentionConfig.QkNorm.WHOLE;
    double eps = decoder.normEps();
    this.qNorm = norms ? new RmsNorm(store, "q_norm", config.queryWidth(), eps) : null;
    this.kNorm = norms ? new RmsNorm(store, "k_norm", config.kvWidth(), eps) : null;
  }

  /** {@code x [B,S,d]}, whole sequences from position 0, to [B,S,d]. */
  public Tensor apply(Tensor x) {
    return o.apply(merged(attend(query(x, 0), key(x, 0), value(x), 0)));
  }

  /** Rotary positions and attention of projected whole sequences, on the CPU, as passes. */
  OwnGradient.Result mix(Tensor q, Tensor k, Tensor v) {
    return AttentionKernel.forward(q, k, v, config.heads(), config.kvHeads(), rope);
  }

  /** True if any of the weights is trained. */
  boolean trains() {
    boolean norms =
        qNorm != null && kNorm != null && (trained(qNorm.weight()) || trained(kNorm.weight()));
    return norms
        || trained(q.weight())
        || trained(k.weight())
        || trained(v.weight())
        || trained(o.weight());
  }

  private static boolean trained(Parameter parameter) {
    return parameter.tensor().requiresGrad();
  }

  /**
   * {@code x [B,S,d]}, the tokens that follow those in {@code cache}, to [B,S,d]. Their keys and
   * values are added; the cache's length is not changed, see {@link KvCache#advance}.
   */
  public Tensor apply(Tensor x, KvCache cache) {
    int start = cache.length();
    KvCache.View all = cache.append(layer, key(x, start), value(x));
    return o.apply(merged(attend(query(x, start), all.keys(), all.values(), start)));
  }

  private Tensor query(Tensor x, int start) {
    return rope.apply(heads(normed(q.apply(x), qNorm), config.heads()), start);
  }

  private Tensor key(Tensor x, int start) {
    return rope.apply(heads(normed(k.apply(x), kNorm), config.kvHeads()), start);
  }

  private Tensor value(Tensor x) {
    return heads(v.apply(x), config.kvHeads());
  }

  private static Tensor normed(Tensor x, @Nullable RmsNorm norm) {
    return norm == null ? x : norm.apply(x);
  }

  /** [B,S,heads*D] to [B,heads,S,D]. */
  private Tensor heads(Tensor x, int heads) {
    return x.view(x.size(0), x.size(1), heads, config.headDim()).transpose(1, 2);
  }

  /** [B,H,S,D] to [B,S,H*D]. */
  private Tensor merged(Tensor x) {
    return x.transpose(1, 2).reshape(x.size(0), x.size(2), config.queryWidth());
  }

  private static Tensor attend(Tensor q, Tensor k, Tensor v, int start) {
    long queries = q.size(2);
    if (start == 0) {
      return Ops.attention(q, k, v, null, true, Double.NaN);
    }
    Tensor mask = queries == 1 ? null : visible(start, queries, q.device());
    return Ops.attention(q, k, v, mask, false, Double.NaN);
  }

  /** [S, start+S] BOOL: query i, at position start+i, sees the keys up to itself. */
  private static Tensor visible(int start, long queries, Device device) {
    Tensor query = Tensor.arange(start, start + queries).unsqueeze(1);
    Tensor key = Tensor.arange(0, start + queries).unsqueeze(0);
    return query.ge(key).to(DType.BOOL).to(device);
  }

  /** The query projection [H*D, d]. */
  public Linear q() {
    return q;
  }

  /** The key projection [K*D, d]. */
  public Linear k() {
    return k;
  }

  /** The value projection [K*D, d]. */
  public Linear v() {
    return v;
  }

  /** The output projection [d, H*D]. */
  public Linear o() {
    return o;
  }

  /** The norm of the queries, if there is one. */
  public Optional<RmsNorm> qNorm() {
    return Optional.ofNullable(qNorm);
  }

  /** The norm of the keys, if there is one. */
  public Optional<RmsNorm> kNorm() {
    return Optional.ofNullable(kNorm);
  }
}

package org.moe4j.models;

import java.util.Optional;
import org.jspecify.annotations.Nullable;
import org.moe4j.Init;
import org.moe4j.Parameter;
import org.moe4j.ParameterStore;
import org.moe4j.Role;
import org.moe4j.TokenContext;
import org.moe4j.models.GroupedQueryConfig.QkNorm;
import org.moe4j.tensor.OwnGradient;
import org.moe4j.tensor.Tensor;

/** {@link GroupedQueryConfig Grouped-query attention}: query head h reads key head h * K / H. */
public final class GroupedQueryAttention implements Attention {
  private final GroupedQueryConfig config;
  private final int layer;
  private final int window;
  private final Rope rope;
  private final Linear q;
  private final Linear k;
  private final Linear v;
  private final Linear o;
  private final @Nullable RmsNorm qNorm;
  private final @Nullable RmsNorm kNorm;
  private final @Nullable Parameter sinks;

  GroupedQueryAttention(
      ParameterStore store,
      DecoderConfig decoder,
      GroupedQueryConfig config,
      int layer,
      Rope rope) {
    this.config = config;
    this.layer = layer;
    this.window = decoder.window(layer);
    this.rope = rope;
    int d = decoder.hidden();
    double std = decoder.initStd();
    boolean biases = config.qkvBias();
    this.q = new Linear(store, "q_proj", config.queryWidth(), d, biases, std);
    this.k = new Linear(store, "k_proj", config.kvWidth(), d, biases, std);
    this.v = new Linear(store, "v_proj", config.kvWidth(), d, biases, std);
    this.o = new Linear(store, "o_proj", d, config.queryWidth(), config.outBias(), std);
    boolean norms = config.qkNorm() != QkNorm.NONE;
    boolean whole = config.qkNorm() == QkNorm.WHOLE;
    double eps = decoder.normEps();
    int qWidth = whole ? config.queryWidth() : config.headDim();
    int kWidth = whole ? config.kvWidth() : config.headDim();
    this.qNorm = norms ? new RmsNorm(store, "q_norm", qWidth, eps) : null;
    this.kNorm = norms ? new RmsNorm(store, "k_norm", kWidth, eps) : null;
    this.sinks =
        config.sinks()
            ? store.create("sinks", Role.NON_EXPERT, Init.zeros(), config.heads())
            : null;
  }

  @Override
  public Tensor apply(Tensor x, TokenContext context, Span span, @Nullable KvCache cache) {
    Tensor query = placed(projected(x, q, qNorm, config.heads()), span, qNorm);
    Tensor key = projected(x, k, kNorm, config.kvHeads());
    Tensor value = clipped(heads(v.apply(x), config.kvHeads()));
    // Where the rotation changes with the text's length, keys are kept as they were before it.
    boolean late = rope.config().dependsOnLength();
    if (!late) {
      key = placed(key, span, kNorm);
    }
    if (cache != null) {
      KvCache.View all = cache.append(layer, key, value);
      key = all.keys();
      value = all.values();
    }
    if (late) {
      key = placed(key, span.fromZero(), kNorm);
    }
    return o.apply(merged(attend(query, key, value, span)));
  }

  private Tensor attend(Tensor q, Tensor k, Tensor v, Span span) {
    double scale = config.scoreScale();
    return sinks == null
        ? Scores.attend(q, k, v, span, window, scale)
        : Scores.attend(q, k, v, span, window, scale, sinks.tensor());
  }

  /** [B,H,S,D], before the rotation. */
  private Tensor projected(Tensor x, Linear projection, @Nullable RmsNorm norm, int heads) {
    Tensor y = projection.apply(x);
    if (norm != null && config.qkNorm() == QkNorm.WHOLE) {
      y = norm.apply(y);
    }
    y = clipped(y).view(x.size(0), x.size(1), heads, config.headDim());
    if (norm != null && config.qkNorm() == QkNorm.PER_HEAD) {
      y = norm.apply(y);
    }
    return y.transpose(1, 2);
  }

  /** {@code x [B,H,S,D]} at its positions. */
  private Tensor placed(Tensor x, Span span, @Nullable RmsNorm norm) {
    Tensor y = rope.apply(x, span);
    return norm != null && config.qkNorm() == QkNorm.PER_HEAD_ROTATED ? norm.apply(y) : y;
  }

  private Tensor clipped(Tensor x) {
    return config.clip() == 0 ? x : x.clamp(-config.clip(), config.clip());
  }

  /** [B,S,heads*D] to [B,heads,S,D]. */
  private Tensor heads(Tensor x, int heads) {
    return x.view(x.size(0), x.size(1), heads, config.headDim()).transpose(1, 2);
  }

  /** [B,H,S,D] to [B,S,H*D]. */
  private Tensor merged(Tensor x) {
    return x.transpose(1, 2).reshape(x.size(0), x.size(2), config.queryWidth());
  }

  /** Without biases, limits, sinks, windows or an uncommon rotation. */
  @Override
  public Optional<GroupedQueryAttention> plain() {
    RopeConfig r = config.rope();
    boolean plain =
        !config.qkvBias()
            && !config.outBias()
            && config.clip() == 0
            && sinks == null
            && window == 0
            && config.scale() == 0
            && (config.qkNorm() == QkNorm.NONE || config.qkNorm() == QkNorm.WHOLE)
            && !r.interleaved()
            && r.rotatedOf(config.headDim()) == config.headDim();
    return plain ? Optional.of(this) : Optional.empty();
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

  /** The sinks [H], if there are any. */
  public Optional<Parameter> sinks() {
    return Optional.ofNullable(sinks);
  }
}

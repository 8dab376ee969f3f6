package org.moe4j.models;

import java.util.function.Consumer;
import org.moe4j.tensor.MoeException;

/**
 * Grouped-query self-attention (Ainslie et al. 2023, arXiv 2305.13245).
 *
 * @param heads H, query heads
 * @param kvHeads K, key and value heads; K divides H
 * @param headDim D, channels of a head
 * @param rope the rotary embedding
 * @param qkNorm whether and where queries and keys are normalised
 * @param qkvBias whether the projections to queries, keys and values have biases
 * @param outBias whether the output projection has one
 * @param clip queries, keys and values are clamped to plus and minus this, after a norm on whole
 *     vectors and before the rotation; 0 for no limit
 * @param sinks whether each head has a learned logit that joins the softmax's denominator (gpt-oss)
 * @param scale of the scores; 0 for D^-1/2
 */
public record GroupedQueryConfig(
    int heads,
    int kvHeads,
    int headDim,
    RopeConfig rope,
    QkNorm qkNorm,
    boolean qkvBias,
    boolean outBias,
    double clip,
    boolean sinks,
    double scale)
    implements AttentionConfig {

  /** Normalisation of queries and keys by an RMSNorm. */
  public enum QkNorm {
    /** None. */
    NONE,
    /** Over the whole projected vector, before it is split into heads: OLMoE. */
    WHOLE,
    /** Over each head, before the rotation: Qwen3. */
    PER_HEAD,
    /** Over each head, after the rotation: HunYuan. */
    PER_HEAD_ROTATED
  }

  /** Checks the numbers. */
  public GroupedQueryConfig {
    require(heads > 0, "heads", heads, "must be at least 1");
    require(kvHeads > 0 && heads % kvHeads == 0, "kv_heads", kvHeads, "must divide heads " + heads);
    require(headDim > 0 && headDim % 2 == 0, "head_dim", headDim, "must be even and at least 2");
    boolean fits = (long) heads * headDim < 1 << 30;
    require(fits, "head_dim", headDim, "too large for heads " + heads);
    require(rope.rotated() <= headDim, "rotated channels", rope.rotated(), "more than head_dim");
    limit("clip_qkv", clip);
    limit("attention scale", scale);
  }

  private static void require(boolean holds, String field, int value, String rule) {
    if (!holds) {
      throw new MoeException(field + " " + value + ": " + rule);
    }
  }

  private static void limit(String field, double value) {
    if (!(value >= 0) || Double.isInfinite(value)) {
      throw new MoeException(field + " " + value + ": must be a positive number");
    }
  }

  /** Multi-head attention over {@code hidden} channels in {@code heads} heads, theta 10,000. */
  public static GroupedQueryConfig of(int hidden, int heads) {
    if (heads <= 0 || hidden % heads != 0) {
      throw new MoeException("heads " + heads + ": must divide hidden " + hidden);
    }
    return of(heads, heads, hidden / heads, RopeConfig.of(10_000));
  }

  /** Plain attention: no norms, biases, limits or sinks. */
  public static GroupedQueryConfig of(int heads, int kvHeads, int headDim, RopeConfig rope) {
    return new GroupedQueryConfig(
        heads, kvHeads, headDim, rope, QkNorm.NONE, false, false, 0, false, 0);
  }

  /** With another number of key and value heads. */
  public GroupedQueryConfig withKvHeads(int kvHeads) {
    return edited(d -> d.kvHeads = kvHeads);
  }

  /** With another base of the rotary embedding. */
  public GroupedQueryConfig withRopeTheta(double theta) {
    return withRope(rope.withTheta(theta));
  }

  /** With another rotary embedding. */
  public GroupedQueryConfig withRope(RopeConfig rope) {
    return edited(d -> d.rope = rope);
  }

  /** With another normalisation of queries and keys. */
  public GroupedQueryConfig withQkNorm(QkNorm qkNorm) {
    return edited(d -> d.qkNorm = qkNorm);
  }

  /** With biases on the projections into and out of the attention. */
  public GroupedQueryConfig withBiases(boolean qkv, boolean out) {
    return new GroupedQueryConfig(
        heads, kvHeads, headDim, rope, qkNorm, qkv, out, clip, sinks, scale);
  }

  /** With queries, keys and values clamped. */
  public GroupedQueryConfig withClip(double clip) {
    return edited(d -> d.clip = clip);
  }

  /** With or without learned sinks. */
  public GroupedQueryConfig withSinks(boolean sinks) {
    return edited(d -> d.sinks = sinks);
  }

  /** With another scale of the scores. */
  public GroupedQueryConfig withScale(double scale) {
    return edited(d -> d.scale = scale);
  }

  @Override
  public int ropeDim() {
    return headDim;
  }

  @Override
  public Cached cached() {
    return new Cached(kvHeads, headDim, headDim);
  }

  /** H * D. */
  public int queryWidth() {
    return heads * headDim;
  }

  /** K * D. */
  public int kvWidth() {
    return kvHeads * headDim;
  }

  /** What the scores are multiplied by. */
  double scoreScale() {
    return scale == 0 ? 1 / Math.sqrt(headDim) : scale;
  }

  @Override
  public long parameters(int hidden) {
    long width = (long) queryWidth() + kvWidth();
    long weights = Math.multiplyExact(2L * hidden, width);
    long norms =
        switch (qkNorm) {
          case NONE -> 0;
          case WHOLE -> width;
          case PER_HEAD, PER_HEAD_ROTATED -> 2L * headDim;
        };
    long biases = (qkvBias ? queryWidth() + 2L * kvWidth() : 0) + (outBias ? hidden : 0);
    return weights + norms + biases + (sinks ? heads : 0);
  }

  private GroupedQueryConfig edited(Consumer<Draft> change) {
    Draft draft = new Draft(this);
    change.accept(draft);
    return draft.done();
  }

  /** The components while one of them is replaced. */
  private static final class Draft {
    private int heads;
    private int kvHeads;
    private int headDim;
    private RopeConfig rope;
    private QkNorm qkNorm;
    private boolean qkvBias;
    private boolean outBias;
    private double clip;
    private boolean sinks;
    private double scale;

    private Draft(GroupedQueryConfig from) {
      this.heads = from.heads;
      this.kvHeads = from.kvHeads;
      this.headDim = from.headDim;
      this.rope = from.rope;
      this.qkNorm = from.qkNorm;
      this.qkvBias = from.qkvBias;
      this.outBias = from.outBias;
      this.clip = from.clip;
      this.sinks = from.sinks;
      this.scale = from.scale;
    }

    private GroupedQueryConfig done() {
      return new GroupedQueryConfig(
          heads, kvHeads, headDim, rope, qkNorm, qkvBias, outBias, clip, sinks, scale);
    }
  }
}

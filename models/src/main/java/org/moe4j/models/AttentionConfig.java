package org.moe4j.models;

import org.moe4j.tensor.MoeException;

/**
 * Grouped-query self-attention.
 *
 * @param heads H, query heads
 * @param kvHeads K, key and value heads; K divides H
 * @param headDim D, channels of a head, even
 * @param ropeTheta base of the rotary embedding
 * @param qkNorm whether queries and keys are normalised before the rotation
 */
public record AttentionConfig(
    int heads, int kvHeads, int headDim, double ropeTheta, QkNorm qkNorm) {

  /** Normalisation of queries and keys. */
  public enum QkNorm {
    /** None. */
    NONE,
    /** An RMSNorm over the whole projected vector, before it is split into heads: OLMoE. */
    WHOLE
  }

  /** Checks the numbers. */
  public AttentionConfig {
    require(heads > 0, "heads", heads, "must be at least 1");
    require(kvHeads > 0 && heads % kvHeads == 0, "kv_heads", kvHeads, "must divide heads " + heads);
    require(headDim > 0 && headDim % 2 == 0, "head_dim", headDim, "must be even and at least 2");
    boolean fits = (long) heads * headDim < 1 << 30;
    require(fits, "head_dim", headDim, "too large for heads " + heads);
    if (!(ropeTheta > 0) || Double.isInfinite(ropeTheta)) {
      throw new MoeException("rope_theta " + ropeTheta + ": must be a positive number");
    }
  }

  private static void require(boolean holds, String field, int value, String rule) {
    if (!holds) {
      throw new MoeException(field + " " + value + ": " + rule);
    }
  }

  /** Multi-head attention over {@code hidden} channels in {@code heads} heads, theta 10,000. */
  public static AttentionConfig of(int hidden, int heads) {
    if (heads <= 0 || hidden % heads != 0) {
      throw new MoeException("heads " + heads + ": must divide hidden " + hidden);
    }
    return new AttentionConfig(heads, heads, hidden / heads, 10_000, QkNorm.NONE);
  }

  /** With another number of key and value heads. */
  public AttentionConfig withKvHeads(int kvHeads) {
    return new AttentionConfig(heads, kvHeads, headDim, ropeTheta, qkNorm);
  }

  /** With another base of the rotary embedding. */
  public AttentionConfig withRopeTheta(double ropeTheta) {
    return new AttentionConfig(heads, kvHeads, headDim, ropeTheta, qkNorm);
  }

  /** With another normalisation of queries and keys. */
  public AttentionConfig withQkNorm(QkNorm qkNorm) {
    return new AttentionConfig(heads, kvHeads, headDim, ropeTheta, qkNorm);
  }

  /** H * D. */
  public int queryWidth() {
    return heads * headDim;
  }

  /** K * D. */
  public int kvWidth() {
    return kvHeads * headDim;
  }
}

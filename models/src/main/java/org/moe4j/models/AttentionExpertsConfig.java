package org.moe4j.models;

import org.moe4j.tensor.MoeException;

/**
 * Mixture of attention heads (S24) in JetMoE's form: each token chooses k of E experts, each with
 * its own query and output projection for K heads; keys and values are shared by all experts.
 *
 * @param experts E
 * @param topK k
 * @param kvHeads K, heads of keys, of values and of each expert's queries
 * @param headDim D
 * @param rope the rotary embedding
 */
public record AttentionExpertsConfig(
    int experts, int topK, int kvHeads, int headDim, RopeConfig rope) implements AttentionConfig {

  /** Checks the numbers. */
  public AttentionExpertsConfig {
    require(experts > 0, "experts", experts, "at least 1");
    require(topK > 0 && topK <= experts, "top-k", topK, "1 to " + experts);
    require(kvHeads > 0, "kv_heads", kvHeads, "at least 1");
    require(headDim > 0 && headDim % 2 == 0, "kv_channels", headDim, "even, at least 2");
    require((long) experts * kvHeads * headDim < 1 << 30, "kv_channels", headDim, "smaller");
  }

  private static void require(boolean holds, String field, int value, String rule) {
    if (!holds) {
      throw new MoeException("attention " + field + " " + value + ": must be " + rule);
    }
  }

  /** k * K. */
  @Override
  public int heads() {
    return topK * kvHeads;
  }

  @Override
  public int ropeDim() {
    return headDim;
  }

  /** K * D, the width of an expert's queries. */
  public int width() {
    return kvHeads * headDim;
  }

  @Override
  public Cached cached() {
    return new Cached(kvHeads, headDim, headDim);
  }

  @Override
  public long parameters(int hidden) {
    return parameters(hidden, experts);
  }

  @Override
  public long activeParameters(int hidden) {
    return parameters(hidden, topK);
  }

  private long parameters(int hidden, int met) {
    long perExpert = Math.multiplyExact(2L * hidden, width());
    long shared = Math.multiplyExact(2L * hidden, width()) + (long) experts * hidden + hidden;
    return Math.addExact(Math.multiplyExact(met, perExpert), shared);
  }
}

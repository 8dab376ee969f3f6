package org.moe4j.models;

import org.moe4j.tensor.MoeException;

/**
 * Multi-head latent attention (DeepSeek-V2, S40): keys and values of all heads are made from one
 * compressed vector per token, which alone is cached beside one rotated key.
 *
 * @param heads H
 * @param queryRank width of the compressed queries; 0 if queries are projected directly
 * @param kvRank width of the compressed keys and values
 * @param plainDim channels of a head's query and key without positions
 * @param ropeDim channels of a head's query, and of the key all heads share, with positions
 * @param valueDim channels of a head's value
 * @param rope the rotary embedding
 * @param bias whether the compressing projections and the output projection have biases
 * @param scale of the scores; 0 for (plainDim + ropeDim)^-1/2
 * @param normEps epsilon of the norms on compressed vectors
 */
public record LatentConfig(
    int heads,
    int queryRank,
    int kvRank,
    int plainDim,
    int ropeDim,
    int valueDim,
    RopeConfig rope,
    boolean bias,
    double scale,
    double normEps)
    implements AttentionConfig {

  /** Checks the numbers. */
  public LatentConfig {
    require(heads > 0, "heads", heads, "at least 1");
    require(queryRank >= 0, "q_lora_rank", queryRank, "at least 0");
    require(kvRank > 0, "kv_lora_rank", kvRank, "at least 1");
    require(plainDim > 0, "qk_nope_head_dim", plainDim, "at least 1");
    require(ropeDim > 0 && ropeDim % 2 == 0, "qk_rope_head_dim", ropeDim, "even, at least 2");
    require(valueDim > 0, "v_head_dim", valueDim, "at least 1");
    long widest = Math.max((long) plainDim + ropeDim, valueDim);
    require(heads * widest < 1 << 30, "num_attention_heads", heads, "smaller");
    if (!(scale >= 0) || Double.isInfinite(scale)) {
      throw new MoeException("attention scale " + scale + ": must be a positive number");
    }
  }

  private static void require(boolean holds, String field, int value, String rule) {
    if (!holds) {
      throw new MoeException(field + " " + value + ": must be " + rule);
    }
  }

  /** Channels of a head's query: those without and those with positions. */
  public int queryDim() {
    return plainDim + ropeDim;
  }

  @Override
  public Cached cached() {
    return new Cached(1, ropeDim, kvRank);
  }

  /** What the scores are multiplied by. */
  double scoreScale() {
    return scale == 0 ? 1 / Math.sqrt(queryDim()) : scale;
  }

  @Override
  public long parameters(int hidden) {
    long queries = (long) heads * queryDim();
    long q =
        queryRank == 0
            ? queries * hidden
            : Math.multiplyExact(queryRank, queries + hidden + 1) + (bias ? queryRank : 0);
    long compressed = (long) kvRank + ropeDim;
    long kv =
        Math.multiplyExact(compressed, hidden)
            + kvRank
            + Math.multiplyExact(kvRank, (long) heads * (plainDim + valueDim));
    long out = Math.multiplyExact((long) heads * valueDim, hidden);
    return q + kv + out + (bias ? compressed + hidden : 0);
  }
}

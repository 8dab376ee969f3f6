package org.moe4j.models;

import org.moe4j.tensor.DType;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.Tensor;

/**
 * T5's buckets of relative positions (key minus query). Near distances have a bucket each, farther
 * ones share buckets whose width grows with the logarithm, and from {@code maxDistance} on all
 * share the last. A bidirectional stack gives half of the buckets to keys behind the query; a
 * causal one has none for them.
 *
 * @param buckets in all, of both directions
 * @param maxDistance from which on distances are not told apart
 */
public record PositionBuckets(int buckets, int maxDistance) {
  /** Those of all released T5 models. */
  public static final PositionBuckets T5 = new PositionBuckets(32, 128);

  /** Checks that the logarithms are defined. */
  public PositionBuckets {
    if (buckets < 4 || buckets % 2 != 0) {
      throw new MoeException(
          "relative_attention_num_buckets " + buckets + ": must be even and at least 4");
    }
    if (maxDistance <= buckets / 2) {
      throw new MoeException(
          "relative_attention_max_distance "
              + maxDistance
              + ": must be above half of the "
              + buckets
              + " buckets");
    }
  }

  /**
   * The buckets of the relative positions {@code from .. to}, [to - from + 1] I64. The logarithms
   * are F32, as the models were trained with.
   */
  Tensor of(long from, long to, boolean bidirectional) {
    Tensor relative = Tensor.arange(from, to + 1).to(DType.F32);
    int n = bidirectional ? buckets / 2 : buckets;
    int exact = n / 2;
    Tensor behind = relative.gt(0);
    Tensor distance = bidirectional ? relative.abs() : relative.maskedFill(behind, 0).neg();
    Tensor logarithmic =
        distance
            .clampMin(1)
            .div(exact)
            .log()
            .div(Math.log((double) maxDistance / exact))
            .mul(n - exact)
            .to(DType.I64)
            .to(DType.F32)
            .add(exact)
            .clamp(0, n - 1);
    Tensor bucket = Tensor.where(distance.lt(exact), distance, logarithmic);
    Tensor both = bidirectional ? bucket.add(behind.to(DType.F32).mul(n)) : bucket;
    return both.to(DType.I64);
  }
}

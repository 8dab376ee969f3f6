package org.moe4j.models;

import org.moe4j.Init;
import org.moe4j.Parameter;
import org.moe4j.ParameterStore;
import org.moe4j.Role;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.Tensor;

/**
 * T5's relative position bias: a learned number per bucket and head, added to the scores of
 * self-attention. A stack has one, which all of its blocks share.
 */
public final class RelativeBias {
  private final PositionBuckets buckets;
  private final boolean bidirectional;
  private final Parameter weight;

  RelativeBias(
      ParameterStore store, PositionBuckets buckets, int heads, boolean bidirectional, double std) {
    this.buckets = buckets;
    this.bidirectional = bidirectional;
    this.weight =
        store.create(
            "relative_bias.weight", Role.NON_EXPERT, Init.normal(std), buckets.buckets(), heads);
  }

  /**
   * What is added to the scores of queries at {@code start .. start+S-1} and keys at 0 .. N-1:
   * [1,H,S,N] of {@code type}. In a causal stack later keys get minus infinity.
   */
  Tensor scores(long start, long queries, long keys, DType type) {
    long first = -(start + queries - 1);
    long last = Math.max(keys - 1 - start, first);
    Tensor table = weight.tensor().to(type);
    Tensor perDistance =
        table.indexSelect(0, buckets.of(first, last, bidirectional).to(table.device()));
    if (!bidirectional) {
      Tensor later = Tensor.arange(first, last + 1).gt(0).unsqueeze(1).to(table.device());
      perDistance = perDistance.maskedFill(later, Double.NEGATIVE_INFINITY);
    }
    Tensor query = Tensor.arange(start, start + queries).unsqueeze(1);
    Tensor relative = Tensor.arange(0, keys).unsqueeze(0).sub(query);
    Tensor place = relative.sub(Tensor.of(new long[] {first}, 1));
    return perDistance
        .indexSelect(0, place.reshape(queries * keys).to(table.device()))
        .view(queries, keys, table.size(1))
        .permute(2, 0, 1)
        .contiguous()
        .unsqueeze(0);
  }

  /** The table [buckets, H]. */
  public Parameter weight() {
    return weight;
  }
}

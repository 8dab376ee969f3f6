package org.moe4j;

import java.util.Arrays;
import java.util.List;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.Tensor;

/**
 * The served token-expert pairs of a routing as R rows, sorted by expert and stably inside an
 * expert (a counting sort: deterministic, linear).
 */
final class Assignment {
  private final long[] counts; // [E] rows of each expert
  private final long[] token; // [R] token of each row
  private final long[] entry; // [R] place of each row in the flattened weights
  private final Tensor weights; // [N] flattened combine weights
  private final boolean onInput; // whether the weight multiplies the expert's input
  private final int k; // choices per token, or 0 where experts chose
  private final long tokens; // T

  private Assignment(
      long[] counts,
      long[] token,
      long[] entry,
      Tensor weights,
      boolean onInput,
      int k,
      long tokens) {
    this.counts = counts;
    this.token = token;
    this.entry = entry;
    this.weights = weights;
    this.onInput = onInput;
    this.k = k;
    this.tokens = tokens;
  }

  static Assignment of(Routing routing, long tokens) {
    return switch (routing) {
      case TokenChoice r -> {
        if (r.tokens() != tokens) {
          throw new MoeException(
              "the routing is for " + r.tokens() + " tokens, the input has " + tokens);
        }
        long[] token = new long[(int) r.experts().numel()];
        Arrays.setAll(token, i -> i / r.k());
        yield sorted(r.experts().toLongs(), token, r, r.weights(), r.gating(), r.k(), tokens);
      }
      case ExpertChoice r -> {
        long[] token = r.tokens().toLongs();
        long[] expert = new long[token.length];
        Arrays.setAll(expert, i -> token[i] < 0 ? -1 : i / r.capacity());
        yield sorted(expert, token, r, r.weights(), r.gating(), 0, tokens);
      }
      case Blend r ->
          throw new MoeException(
              "a blend has no choices to dispatch; use the dispatcher \"one-hot\" for it");
      case Retrieval r ->
          throw new MoeException("a retrieval has no expert buffers; its experts gather by id");
    };
  }

  private static Assignment sorted(
      long[] expert,
      long[] token,
      Routing routing,
      Tensor weights,
      Gating gating,
      int k,
      long tokens) {
    int experts = routing.expertCount();
    long[] counts = new long[experts];
    for (long e : expert) {
      if (e >= experts) {
        throw new MoeException("the routing names expert " + e + " of " + experts);
      }
      if (e >= 0) {
        counts[(int) e]++;
      }
    }
    int[] next = new int[experts];
    int rows = 0;
    for (int e = 0; e < experts; e++) {
      next[e] = rows;
      rows += (int) counts[e];
    }
    long[] rowToken = new long[rows];
    long[] rowEntry = new long[rows];
    for (int i = 0; i < expert.length; i++) {
      if (expert[i] >= 0) {
        int row = next[(int) expert[i]]++;
        rowToken[row] = token[i];
        rowEntry[row] = i;
      }
    }
    return new Assignment(
        counts,
        rowToken,
        rowEntry,
        weights.reshape(weights.numel()),
        gating.weightOn() == Gating.WeightOn.INPUT,
        k,
        tokens);
  }

  /** Rows of each expert [E]. */
  long[] counts() {
    return counts;
  }

  /** Token of each row [R]. */
  long[] token() {
    return token;
  }

  /** Place of each row's weight among {@link #weights} [R]. */
  long[] entry() {
    return entry;
  }

  /** All combine weights, flattened; those of refused choices included. */
  Tensor weights() {
    return weights;
  }

  /** R. */
  int rows() {
    return token.length;
  }

  /** {@code x [T,d]} gathered to [R,d], multiplied by the weights where these act on the input. */
  Tensor gather(Tensor x) {
    Tensor rows = x.indexSelect(0, index(token, x));
    return onInput ? scaled(rows, rowWeights(x)).to(x.dtype()) : rows;
  }

  /**
   * The weighted sum of expert outputs, per token.
   *
   * @param outputs [M,d]
   * @param place where row r is among the outputs [R]
   * @return [T,d]
   */
  Tensor combine(Tensor outputs, long[] place) {
    return (k > 0 ? gatherSum(outputs, place) : scatterSum(outputs, place)).to(outputs.dtype());
  }

  /** Each token fetches and sums its k rows: no atomics, the order of addition is fixed. */
  private Tensor gatherSum(Tensor outputs, long[] place) {
    long width = outputs.size(1);
    long[] source = new long[Math.toIntExact(tokens * k)];
    Arrays.fill(source, outputs.size(0));
    for (int r = 0; r < place.length; r++) {
      source[(int) entry[r]] = place[r];
    }
    Tensor all = place.length == source.length ? outputs : withZeroRow(outputs);
    Tensor fetched = all.indexSelect(0, index(source, outputs));
    Tensor weighted = onInput ? fetched : scaled(fetched, weights);
    return k == 1 ? weighted : weighted.view(tokens, k, width).sum(1, false);
  }

  private Tensor scatterSum(Tensor outputs, long[] place) {
    Tensor fetched = outputs.indexSelect(0, index(place, outputs));
    Tensor weighted = onInput ? fetched : scaled(fetched, rowWeights(outputs));
    Tensor zero = Tensor.zeros(weighted.dtype(), outputs.device(), tokens, outputs.size(1));
    return zero.indexAdd(0, index(token, outputs), weighted);
  }

  private Tensor rowWeights(Tensor like) {
    return weights.indexSelect(0, index(entry, like));
  }

  /** The product is taken in the weights' type or wider, and rounded once at the end. */
  private static Tensor scaled(Tensor rows, Tensor weights) {
    Tensor wide = weights.dtype() == DType.F64 ? weights : weights.to(DType.F32);
    return rows.mul(wide.unsqueeze(1));
  }

  static Tensor withZeroRow(Tensor rows) {
    Tensor zero = Tensor.zeros(rows.dtype(), rows.device(), 1, rows.size(1));
    return Tensor.cat(List.of(rows, zero), 0);
  }

  static Tensor index(long[] values, Tensor like) {
    return Tensor.of(values).to(like.device());
  }
}

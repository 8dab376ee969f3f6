package org.moe4j;

import org.moe4j.tensor.Tensor;

/** The rows that experts compute, in one of two layouts. */
public sealed interface ExpertInput {
  /**
   * Rows of expert 0, then of expert 1, and so on, without gaps.
   *
   * @param rows [R,d]
   * @param counts rows of each expert: E numbers with sum R, zeros allowed
   */
  @SuppressWarnings("ArrayRecordComponent") // handed over, never compared
  record Ragged(Tensor rows, long[] counts) implements ExpertInput {}

  /**
   * The same number of rows for every expert, empty ones zero.
   *
   * @param rows [E,C,d]
   */
  record Buffers(Tensor rows) implements ExpertInput {}
}

package org.moe4j;

import org.moe4j.tensor.Tensor;

/** A bank of E experts with stacked weights, which dispatchers bring rows to. */
public non-sealed interface Experts extends ExpertBank {
  /**
   * Each row computed by its expert.
   *
   * @param input rows of width d
   * @param context phase and random source
   * @return rows in the same layout and type
   */
  Tensor forward(ExpertInput input, TokenContext context);
}

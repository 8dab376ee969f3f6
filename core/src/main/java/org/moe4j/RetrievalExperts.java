package org.moe4j;

import org.moe4j.tensor.Tensor;

/** A bank of very many very small experts that tokens gather by number (S29's values, S52). */
public non-sealed interface RetrievalExperts extends ExpertBank {
  /**
   * The weighted sum of each token's retrieved experts. Memory is O(T n d) at most, never O(T E).
   *
   * @param x [T,d]
   * @param routing of the same T tokens
   * @param context phase and random source
   * @return [T,d] of the type of x
   */
  Tensor forward(Tensor x, Retrieval routing, TokenContext context);
}

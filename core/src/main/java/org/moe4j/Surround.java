package org.moe4j;

import org.moe4j.tensor.Tensor;

/**
 * What a system does to tokens before they reach its sparse layer and after, for instance to split
 * them (S41). The layer inside may see other rows of another width.
 */
public interface Surround {
  /** The rows inside, from tokens x [T,d]. */
  Tensor before(Tensor x, TokenContext context);

  /** The context of the rows inside. */
  TokenContext inside(TokenContext context);

  /**
   * The tokens' outputs [T,d].
   *
   * @param y the rows' outputs
   * @param rows the rows as {@link #before} gave them
   */
  Tensor after(Tensor y, Tensor rows, TokenContext context);
}

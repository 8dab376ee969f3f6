package org.moe4j;

import org.moe4j.tensor.Tensor;

/**
 * Every expert chooses its tokens.
 *
 * @param tokens [E,C] I64: positions in 0..T-1; -1 for an empty slot
 * @param weights [E,C]: combine weights with gradient, ignored at empty slots
 * @param gating where the weight acts
 * @param evidence what the router computed on its way
 */
public record ExpertChoice(Tensor tokens, Tensor weights, Gating gating, Evidence evidence)
    implements Routing {
  @Override
  public int expertCount() {
    return (int) tokens.size(0);
  }

  /** C. */
  public long capacity() {
    return tokens.size(1);
  }
}

package org.moe4j;

import org.moe4j.tensor.MoeException;

/**
 * A balance loss with its weight in the training loss.
 *
 * @param loss the loss
 * @param coefficient its weight, at least 0
 */
public record BalanceTerm(Balance loss, double coefficient) {
  public BalanceTerm {
    if (!(coefficient >= 0)) {
      throw new MoeException(
          "balance loss " + loss.name() + ": coefficient " + coefficient + "; give at least 0");
    }
  }
}

package org.moe4j;

import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.Tensor;

/**
 * A balance loss whose coefficient follows its layer's drop rate (S44): after each step with drop
 * rate d it becomes {@code beta a + (1 - beta) min(xi d, a_max)}. The {@link BalanceTerm}'s
 * coefficient is a_max and also where a starts, which the report leaves open. The running value is
 * state of the layer ({@link AdaptiveCoefficient}).
 *
 * @param loss what is weighed
 * @param xi sensitivity to the drop rate: 1/5 in the report
 * @param beta share of the old value: 0.99 in the report
 * @param virtualFactor where the layer has no capacity, the capacity factor beyond whose slots load
 *     counts as dropped; else coefficients of dropless layers would all decay to 0
 */
public record AdaptiveBalance(Balance loss, double xi, double beta, double virtualFactor)
    implements Balance {
  public AdaptiveBalance {
    if (!(xi >= 0) || !(beta >= 0 && beta < 1) || !(virtualFactor > 0)) {
      throw new MoeException(
          "adaptive balance with xi "
              + xi
              + ", beta "
              + beta
              + " and virtual factor "
              + virtualFactor
              + "; give xi >= 0, 0 <= beta < 1 and a factor above 0");
    }
  }

  /** Skywork's: its mean-gate-square loss, xi 1/5, beta 0.99. */
  public static AdaptiveBalance skywork() {
    return new AdaptiveBalance(new MeanGateSquareBalance(), 0.2, 0.99, 1.25);
  }

  @Override
  public String name() {
    return "adaptive-" + loss.name();
  }

  @Override
  public Needs needs() {
    return loss.needs();
  }

  @Override
  public Declaration declaration() {
    return loss.declaration();
  }

  /** Of the loss inside, unweighted. */
  @Override
  public Tensor loss(Routing routing, TokenContext context) {
    return loss.loss(routing, context);
  }
}

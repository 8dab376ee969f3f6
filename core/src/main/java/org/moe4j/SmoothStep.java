package org.moe4j;

import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.Tensor;

/**
 * The smooth step of DSelect-k (S11, section 3): 0 up to -gamma/2, 1 from gamma/2 on, between them
 * the cubic {@code -2 t^3 / gamma^3 + 3 t / (2 gamma) + 1/2}. Once differentiable; value and slope
 * outside are exact, so that exact zeros and ones are reached.
 *
 * @param gamma the width of the slope, above 0
 */
public record SmoothStep(double gamma) {
  public SmoothStep {
    if (!(gamma > 0 && Double.isFinite(gamma))) {
      throw new MoeException("smooth step: gamma " + gamma + "; give a number above 0");
    }
  }

  /** S(t) of every element. */
  public Tensor of(Tensor t) {
    Tensor u = t.div(gamma).clamp(-0.5, 0.5);
    // Rounding next to the ends must not lead beyond [0,1]: 1 - S may not be negative.
    return u.mul(1.5).sub(u.square().mul(u).mul(2)).add(0.5).clamp(0, 1);
  }
}

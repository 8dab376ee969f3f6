package org.moe4j;

import org.moe4j.tensor.DType;
import org.moe4j.tensor.Tensor;

/** Draws from a softmax: the largest of logits plus Gumbel noise, or the n largest in order. */
final class Gumbel {
  private Gumbel() {}

  /** {@code logits} without gradient plus standard Gumbel noise. */
  static Tensor perturbed(Tensor logits, TokenContext context) {
    Tensor u = context.random().uniform(1e-20, 1, DType.F64, logits.shape()).to(logits.device());
    return logits.detach().add(u.log().neg().log().neg().to(logits.dtype()));
  }
}

package org.moe4j;

import org.moe4j.tensor.DType;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.Tensor;

/** Plans of routers that look up the expert of a token and weigh nothing (S13, S14). */
final class FixedRule {
  private FixedRule() {}

  /**
   * One expert a token, with weight 1.
   *
   * @param x hidden states [T,d], which are checked alone
   * @param choice the expert of each token [T]; -1 for padding
   */
  static TokenChoice plan(int experts, long[] choice, Tensor x, TokenContext context) {
    finite(x, context);
    Tensor choices = Tensor.of(choice, choice.length, 1).to(x.device());
    return TokenChoice.of(experts, choices, ones(x, 1), Gating.FIXED, Evidence.none())
        .onlyReal(context);
  }

  /** Weights [T,k] that leave expert outputs as they are. */
  static Tensor ones(Tensor x, int k) {
    DType type = x.dtype() == DType.F64 ? DType.F64 : DType.F32;
    return Tensor.full(1, type, x.device(), x.size(0), k);
  }

  /**
   * Refuses hidden states [T,d] that no expert could compute.
   *
   * @throws MoeException naming the layer and the first bad token
   */
  static void finite(Tensor x, TokenContext context) {
    if (x.allFinite()) {
      return;
    }
    double[] values = x.toDoubles();
    for (int i = 0; i < values.length; i++) {
      if (!Double.isFinite(values[i])) {
        throw new MoeException(
            "layer "
                + context.layer()
                + ": the hidden state of token "
                + i / x.size(1)
                + " holds "
                + values[i]
                + "; look for overflow before this layer or lower the learning rate");
      }
    }
  }
}

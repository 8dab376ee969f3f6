package org.moe4j;

import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.Tensor;

/** The check every learned router makes: a NaN in a hidden state always reaches its logits. */
final class Logits {
  private Logits() {}

  /**
   * Returns {@code logits} [T,E] if all are finite.
   *
   * @throws MoeException naming the layer and the first bad token
   */
  static Tensor finite(Tensor logits, TokenContext context) {
    return finite(logits, "router logit", "expert", context);
  }

  /**
   * Returns {@code logits} [T,n] if all are finite, for numbers on the way to logits.
   *
   * @param what one of them is
   * @param column what stands in a column
   */
  static Tensor finite(Tensor logits, String what, String column, TokenContext context) {
    if (logits.allFinite()) {
      return logits;
    }
    double[] values = logits.toDoubles();
    int columns = (int) logits.size(1);
    for (int i = 0; i < values.length; i++) {
      if (!Double.isFinite(values[i])) {
        throw new MoeException(
            "layer "
                + context.layer()
                + ": "
                + what
                + " of token "
                + i / columns
                + " for "
                + column
                + " "
                + i % columns
                + " is "
                + values[i]
                + "; the hidden state or gate.weight holds NaN or infinity, look for overflow"
                + " before this layer or lower the learning rate");
      }
    }
    return logits;
  }
}

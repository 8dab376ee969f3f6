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
                + ": router logit of token "
                + i / columns
                + " for expert "
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

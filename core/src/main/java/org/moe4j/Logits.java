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
    return finite(logits, "router logit", "expert", "gate.weight", context);
  }

  /** As above for {@code what} [T,n], which {@code weight} made from the hidden state. */
  static Tensor finite(
      Tensor what, String name, String column, String weight, TokenContext context) {
    if (what.allFinite()) {
      return what;
    }
    double[] values = what.toDoubles();
    int columns = (int) what.size(1);
    for (int i = 0; i < values.length; i++) {
      if (!Double.isFinite(values[i])) {
        throw new MoeException(
            "layer "
                + context.layer()
                + ": "
                + name
                + " of token "
                + i / columns
                + " for "
                + column
                + " "
                + i % columns
                + " is "
                + values[i]
                + "; the hidden state or "
                + weight
                + " holds NaN or infinity, look for overflow"
                + " before this layer or lower the learning rate");
      }
    }
    return what;
  }
}

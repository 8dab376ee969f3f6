package org.moe4j.models;

import org.moe4j.tensor.DType;
import org.moe4j.tensor.Device;
import org.moe4j.tensor.Ops;
import org.moe4j.tensor.Tensor;

/** The loss of a language model. */
public final class LmLoss {
  /** The target of a position that does not count. */
  public static final long IGNORED = Ops.IGNORED;

  private LmLoss() {}

  /**
   * Mean cross-entropy, in nats, of predicting {@code targets} from hidden states.
   *
   * @param hidden [T, d], after the final norm
   * @param weight [V, d], the output projection
   * @param targets [T] I64; {@link #IGNORED} leaves a position out
   * @return a scalar, F32 (F64 for F64 hidden states); NaN if every target is ignored
   */
  public static Tensor crossEntropy(Tensor hidden, Tensor weight, Tensor targets) {
    return hidden.device() == Device.CPU && weight.isLeaf()
        ? CrossEntropyKernel.apply(hidden, weight, targets)
        : Ops.crossEntropy(logits(hidden, weight), targets);
  }

  /** {@code hidden [..., d]} to logits {@code [..., V]} in F32 (F64 stays). */
  static Tensor logits(Tensor hidden, Tensor weight) {
    Tensor logits = Linear.apply(hidden, weight);
    return logits.dtype() == DType.F64 ? logits : logits.to(DType.F32);
  }
}

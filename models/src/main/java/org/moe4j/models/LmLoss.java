package org.moe4j.models;

import org.moe4j.Reward;
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

  /**
   * A loss token by token.
   *
   * @param mean as {@link #crossEntropy} has it
   * @param reward the log-likelihoods, of no gradient; counted where the target is not ignored
   */
  record Scored(Tensor mean, Reward reward) {}

  /** The same loss, and how well each target was predicted. */
  static Scored scored(Tensor hidden, Tensor weight, Tensor targets) {
    Tensor counted = targets.eq((double) IGNORED).not();
    if (hidden.device() == Device.CPU && weight.isLeaf()) {
      double[] each = new double[Math.toIntExact(targets.numel())];
      Tensor mean = CrossEntropyKernel.apply(hidden, weight, targets, each);
      return new Scored(mean, new Reward(Tensor.of(each, each.length).neg(), counted));
    }
    Tensor logits = logits(hidden, weight);
    Tensor known = targets.maskedFill(counted.not(), 0).unsqueeze(1);
    Tensor each = logits.detach().logSoftmax(-1).gather(1, known).squeeze(1);
    return new Scored(Ops.crossEntropy(logits, targets), new Reward(each, counted));
  }

  /** {@code hidden [..., d]} to logits {@code [..., V]} in F32 (F64 stays). */
  static Tensor logits(Tensor hidden, Tensor weight) {
    Tensor logits = Linear.apply(hidden, weight);
    return logits.dtype() == DType.F64 ? logits : logits.to(DType.F32);
  }
}

package org.moe4j;

import java.util.Optional;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.Ops;
import org.moe4j.tensor.Tensor;

/**
 * Logits with learned noise and the k best of them (S01, section 2.1): c = x W_g, in training plus
 * normal noise of deviation s = softplus(x W_noise) + epsilon. One product may hold the logits of
 * several gates side by side, which then choose apart from each other.
 */
final class NoisyGate {
  private final int gates;
  private final int k;
  private final double epsilon;
  private final Parameter weight;
  private final Parameter noise;

  /**
   * What was drawn, in N = T * gates rows of n experts each.
   *
   * @param clean [N,n] logits before noise
   * @param noisy [N,n] logits after noise; the clean ones outside training
   * @param choices [N,k] the best of the noisy ones
   * @param membership [N,n] chance of each to be among the best if its own noise alone were drawn
   *     again; absent without noise and if all are chosen
   */
  record Draw(Tensor clean, Tensor noisy, Tensor choices, Optional<Tensor> membership) {
    /** [N,k] softmax over the chosen. */
    Tensor weights() {
      return noisy.gather(1, choices).softmax(-1);
    }

    /** [N,n] the membership, or 1 for the chosen and 0 for others. */
    Tensor expected() {
      return membership.orElseGet(this::chosen);
    }

    /** [N,n] 1 for the chosen and 0 for others. */
    Tensor chosen() {
      Tensor ones = Tensor.full(1.0, clean.dtype(), clean.device(), choices.shape());
      return Tensor.zeros(clean.dtype(), clean.device(), clean.shape()).scatter(1, choices, ones);
    }
  }

  /**
   * Makes {@code prefix.weight} and {@code prefix.noise_weight}, both [outputs,d].
   *
   * @param outputs logits of all gates together
   * @param gates how many gates there are
   * @param k choices of each
   * @param epsilon added to the noise's deviation: 0 in the paper, 0.01 in its code
   */
  NoisyGate(
      String prefix,
      int width,
      int outputs,
      int gates,
      int k,
      double epsilon,
      Init init,
      ParameterStore store,
      int layer) {
    if (!(epsilon >= 0)) {
      throw new MoeException("noise epsilon " + epsilon + "; give at least 0");
    }
    this.gates = gates;
    this.k = k;
    this.epsilon = epsilon;
    Role role = new Role.Gate(layer);
    this.weight = store.create(prefix + ".weight", role, init, outputs, width);
    this.noise = store.create(prefix + ".noise_weight", role, init, outputs, width);
  }

  /** The gates' choices for x [T,d], F32 or F64; noise in training alone. */
  Draw draw(Tensor x, TokenContext context) {
    Tensor clean = linear(x, weight);
    Logits.finite(clean, context);
    Tensor rows = byGate(clean);
    if (!context.training()) {
      return new Draw(rows, rows, Selection.top(rows, k), Optional.empty());
    }
    Tensor deviation = Ops.softplus(linear(x, noise)).add(epsilon);
    Tensor normal = context.random().normal(0, 1, DType.F32, clean.shape()).to(x.device());
    Tensor noisy = Logits.finite(clean.add(normal.to(x.dtype()).mul(deviation)), context);
    Tensor drawn = byGate(noisy);
    int experts = (int) drawn.size(1);
    Tensor best = Selection.top(drawn, Math.min(k + 1, experts));
    Optional<Tensor> membership =
        k < experts
            ? Optional.of(membership(rows, byGate(deviation), drawn, best))
            : Optional.empty();
    return new Draw(rows, drawn, best.narrow(1, 0, k), membership);
  }

  private static Tensor linear(Tensor x, Parameter matrix) {
    return Ops.linear(x, matrix.tensor().to(x.dtype()), null);
  }

  private Tensor byGate(Tensor logits) {
    return logits.reshape(logits.size(0) * gates, logits.size(1) / gates);
  }

  /** Phi((c - threshold) / s): the threshold is the k-th best of the others' noisy logits. */
  private Tensor membership(Tensor clean, Tensor deviation, Tensor noisy, Tensor best) {
    Tensor values = noisy.gather(1, best);
    Tensor last = values.narrow(1, k - 1, 1);
    Tensor next = values.narrow(1, k, 1);
    Tensor in = noisy.gt(next);
    Tensor threshold = Tensor.where(in, next, last);
    // The guard keeps 0/0 away if the deviation underflows.
    Tensor z = clean.sub(threshold).div(deviation.mul(Math.sqrt(2)).add(1e-20));
    return z.erf().add(1).mul(0.5);
  }
}

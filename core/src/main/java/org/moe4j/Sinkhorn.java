package org.moe4j;

import org.moe4j.tensor.DType;
import org.moe4j.tensor.Device;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.NoGrad;
import org.moe4j.tensor.Scope;
import org.moe4j.tensor.Tensor;

/**
 * Sinkhorn's iteration for S-BASE (S17): the plan P [T,E] that maximises sum P S plus its entropy,
 * where every row sums to 1/T and every column to 1/E, is {@code diag(u) exp(S) diag(v)}. By turns
 * u makes the rows right, {@code u = (1/T) / (K v + epsilon)}, and v the columns, until the mean
 * change of v is below the tolerance. Logits beyond 50 are iterated by logarithms, where the change
 * is that of log v and no epsilon is needed. There is no gradient.
 *
 * <p>The paper does not publish the three numbers; the defaults of {@link #DEFAULT} are those of
 * the common open implementation (Megatron-LM), the number of iterations is limited here.
 *
 * @param tolerance of the mean change
 * @param epsilon against division by zero
 * @param iterations the most
 */
public record Sinkhorn(double tolerance, double epsilon, int iterations) {
  /** Tolerance 1e-4, epsilon 1e-8, 100 iterations. */
  public static final Sinkhorn DEFAULT = new Sinkhorn(1e-4, 1e-8, 100);

  /** The largest logit whose exponential is taken. */
  private static final double LARGEST = 50;

  public Sinkhorn {
    if (!(tolerance >= 0) || !(epsilon >= 0) || iterations < 1) {
      throw new MoeException(
          "Sinkhorn with tolerance "
              + tolerance
              + ", epsilon "
              + epsilon
              + " and "
              + iterations
              + " iterations; give at least 0, 0 and 1");
    }
  }

  /**
   * The logarithm of v [E], up to a constant: {@code logits + log v} orders each row as the plan
   * does.
   *
   * @param logits [T,E], finite, T at least 1
   */
  public Tensor columns(Tensor logits) {
    try (NoGrad off = NoGrad.open();
        Scope scope = Scope.open()) {
      Tensor s = logits.detach();
      Tensor last = s.abs().max().item() > LARGEST ? byLogarithms(s) : byProducts(s);
      return scope.pass(last);
    }
  }

  /** The plan [T,E], its rows scaled by u once more to sum to 1/T. */
  public Tensor plan(Tensor logits) {
    return Scope.of(
        () -> logits.detach().add(columns(logits)).softmax(1).div((double) logits.size(0)));
  }

  private Tensor byProducts(Tensor s) {
    double perRow = 1.0 / (double) s.size(0);
    double perColumn = 1.0 / (double) s.size(1);
    // A row's constant belongs to u; taken out, neither K nor a sum can overflow.
    Tensor k = s.sub(s.max(1, true)).exp();
    Tensor transposed = k.t();
    Tensor v = Tensor.full(1, s.dtype(), s.device(), s.size(1), 1);
    for (int i = 0; i < iterations; i++) {
      Tensor before = v;
      v =
          Scope.of(
              () -> {
                Tensor u = inverse(k.mm(before), perRow);
                return inverse(transposed.mm(u), perColumn);
              });
      if (change(v, before) < tolerance) {
        break;
      }
    }
    return v.log().reshape(s.size(1));
  }

  private Tensor inverse(Tensor sums, double marginal) {
    return Tensor.full(marginal, sums.dtype(), sums.device(), sums.shape()).div(sums.add(epsilon));
  }

  private Tensor byLogarithms(Tensor s) {
    Tensor v = Tensor.full(0, s.dtype(), s.device(), s.size(1));
    for (int i = 0; i < iterations; i++) {
      Tensor before = v;
      v =
          Scope.of(
              () -> {
                Tensor u = s.add(before).logsumexp(1, true).neg();
                // Marginals are constants that log v carries; centred, they cannot drift away.
                Tensor next = s.add(u).logsumexp(0, false).neg();
                return next.sub(next.mean());
              });
      if (change(v, before) < tolerance) {
        break;
      }
    }
    return v;
  }

  private static double change(Tensor now, Tensor before) {
    return Scope.of(() -> now.sub(before).abs().mean().to(Device.CPU).to(DType.F64)).item();
  }
}

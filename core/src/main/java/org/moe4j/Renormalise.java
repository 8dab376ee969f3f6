package org.moe4j;

import org.moe4j.tensor.DType;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.Tensor;

/**
 * Whether a token's weights are divided by their sum or another p-norm, when, and how the divisor
 * is kept from zero.
 *
 * @param when never, or over all selected, or over those that survive capacity
 * @param guard how epsilon enters
 * @param epsilon the guard's number
 * @param norm p of the divisor {@code (sum |w|^p)^(1/p)} (DBRX); 1 is the plain sum
 */
public record Renormalise(When when, Guard guard, double epsilon, double norm) {
  /** Below it the sum of powers has no root with a finite gradient. */
  private static final double SMALLEST = 1e-37;

  /** At which point the weights are divided by their norm. */
  public enum When {
    /** Not at all. */
    NO,
    /** Over all selected experts; a dropped one's share is lost. */
    BEFORE_DROP,
    /** Over the experts that are served; a survivor takes the dropped one's share. */
    AFTER_DROP
  }

  /** How the divisor stays away from zero. */
  public enum Guard {
    /** norm + epsilon. */
    ADD,
    /** max(norm, epsilon). */
    MAX
  }

  /** No renormalisation. */
  public static final Renormalise NO = new Renormalise(When.NO, Guard.ADD, 0);

  /** Refuses a p that gives no norm. */
  public Renormalise {
    if (!(norm >= 1 && norm < Double.POSITIVE_INFINITY)) {
      throw new MoeException("norm " + norm + " of the weights; give a finite p of at least 1");
    }
  }

  /** Division by the guarded sum. */
  public Renormalise(When when, Guard guard, double epsilon) {
    this(when, guard, epsilon, 1);
  }

  /** Division by (sum + epsilon) before drops. */
  public static Renormalise beforeDrop(double epsilon) {
    return new Renormalise(When.BEFORE_DROP, Guard.ADD, epsilon);
  }

  /** Division by max(sum, epsilon) after drops. */
  public static Renormalise afterDrop(double epsilon) {
    return new Renormalise(When.AFTER_DROP, Guard.MAX, epsilon);
  }

  /** Division by the norm of order p before drops (DBRX). */
  public static Renormalise byNorm(double p) {
    return new Renormalise(When.BEFORE_DROP, Guard.ADD, 0, p);
  }

  /** Rows of {@code weights} [T,k] divided by their guarded norms. */
  public Tensor divide(Tensor weights) {
    Tensor divisor = divisor(weights);
    return weights.div(guard == Guard.ADD ? divisor.add(epsilon) : divisor.clampMin(epsilon));
  }

  private Tensor divisor(Tensor weights) {
    if (norm == 1) {
      return weights.sum(-1, true);
    }
    Tensor wide = weights.dtype() == DType.F64 ? weights : weights.to(DType.F32);
    Tensor powers = wide.abs().pow(norm).sum(-1, true);
    return powers.clampMin(SMALLEST).pow(1 / norm).to(weights.dtype());
  }
}

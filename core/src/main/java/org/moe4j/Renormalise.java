package org.moe4j;

import org.moe4j.tensor.Tensor;

/**
 * Whether a token's weights are divided by their sum, when, and how the sum is kept from zero.
 *
 * @param when never, or over all selected, or over those that survive capacity
 * @param guard how epsilon enters
 * @param epsilon the guard's number
 */
public record Renormalise(When when, Guard guard, double epsilon) {
  /** At which point the weights are divided by their sum. */
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
    /** sum + epsilon. */
    ADD,
    /** max(sum, epsilon). */
    MAX
  }

  /** No renormalisation. */
  public static final Renormalise NO = new Renormalise(When.NO, Guard.ADD, 0);

  /** Division by (sum + epsilon) before drops. */
  public static Renormalise beforeDrop(double epsilon) {
    return new Renormalise(When.BEFORE_DROP, Guard.ADD, epsilon);
  }

  /** Division by max(sum, epsilon) after drops. */
  public static Renormalise afterDrop(double epsilon) {
    return new Renormalise(When.AFTER_DROP, Guard.MAX, epsilon);
  }

  /** Rows of {@code weights} [T,k] divided by their guarded sums. */
  public Tensor divide(Tensor weights) {
    Tensor sum = weights.sum(-1, true);
    return weights.div(guard == Guard.ADD ? sum.add(epsilon) : sum.clampMin(epsilon));
  }
}

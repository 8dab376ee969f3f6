package org.moe4j.models.gguf;

import java.util.Optional;
import org.moe4j.Gating;
import org.moe4j.GroupLimit;
import org.moe4j.Renormalise;

/**
 * A gating as GGUF can say it.
 *
 * @param sigmoid whether logits pass through a sigmoid; else a softmax over all experts
 * @param normalised whether a token's weights are divided by their sum
 * @param biased whether a bias joins the scores in the selection
 * @param scale of the weights
 * @param limit to groups of experts
 */
record Gates(boolean sigmoid, boolean normalised, boolean biased, double scale, GroupLimit limit) {
  /** Divisors are guarded by less than this everywhere. */
  private static final double GUARD = 1e-6;

  /** How {@code gating} is said; empty if it cannot be. */
  static Optional<Gates> of(Gating gating) {
    boolean sigmoid = gating.score() == Gating.Score.SIGMOID;
    boolean known = sigmoid || gating.score() == Gating.Score.SOFTMAX;
    boolean plain = gating.logitScale() == 1 && gating.weightOn() == Gating.WeightOn.OUTPUT;
    Renormalise by = gating.renormalise();
    boolean divided = by.when() != Renormalise.When.NO;
    boolean sum = !divided || (by.norm() == 1 && by.epsilon() <= GUARD);
    // Softmax over the chosen is a softmax over all, divided by the sum of the chosen.
    boolean late = gating.order() == Gating.Order.SELECT_THEN_SCORE;
    if (!known || !plain || !sum || (late && gating.selectionBias())) {
      return Optional.empty();
    }
    return Optional.of(
        new Gates(
            sigmoid,
            divided || (late && !sigmoid),
            gating.selectionBias(),
            gating.scale(),
            limit(gating.groups())));
  }

  private static GroupLimit limit(GroupLimit groups) {
    return groups.groups() == 1 || groups.kept() == groups.groups() ? GroupLimit.NONE : groups;
  }

  /** Softmax over all experts, the chosen weights as they are or divided by their sum. */
  boolean isSoftmax(boolean normalised) {
    return !sigmoid
        && this.normalised == normalised
        && !biased
        && scale == 1
        && limit.equals(GroupLimit.NONE);
  }
}

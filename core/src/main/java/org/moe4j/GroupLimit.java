package org.moe4j;

import org.moe4j.tensor.DType;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.Tensor;

/**
 * Selection limited to the experts of a few groups (DeepSeek-V2 and V3): E experts in equal
 * consecutive groups, of which each token keeps the best.
 *
 * @param groups number of groups; 1 is no limit
 * @param kept groups a token may choose from
 * @param score how a group is rated
 * @param mask what replaces the scores of the other groups
 */
public record GroupLimit(int groups, int kept, GroupScore score, Mask mask) {
  /** A group's rating. */
  public enum GroupScore {
    /** Its best score (V2). */
    MAX,
    /** The sum of its two best scores (V3). */
    TOP2_SUM
  }

  /** The score of an expert outside the kept groups. */
  public enum Mask {
    /** 0: such an expert can still win against negative scores. */
    ZERO,
    /** Minus infinity. */
    MINUS_INFINITY
  }

  /** No limit. */
  public static final GroupLimit NONE = new GroupLimit(1, 1, GroupScore.MAX, Mask.MINUS_INFINITY);

  /**
   * Refuses a limit that {@code experts} and {@code k} do not fit.
   *
   * @throws MoeException in one line
   */
  void check(int experts, int k) {
    if (groups < 1 || experts % groups != 0) {
      throw new MoeException(
          experts + " experts do not divide into " + groups + " groups; change either");
    }
    if (kept < 1 || kept > groups) {
      throw new MoeException(
          "kept-groups " + kept + " of " + groups + " groups; give 1 to " + groups);
    }
    if (score == GroupScore.TOP2_SUM && kept < groups && experts / groups < 2) {
      throw new MoeException(
          "group-score \"top2-sum\": groups of 1 expert have no two best; make fewer groups or use"
              + " \"max\"");
    }
    if (k > kept * (experts / groups)) {
      throw new MoeException(
          "top-k "
              + k
              + " is more than the "
              + kept * (experts / groups)
              + " experts of the kept groups; keep more groups");
    }
  }

  /** Selection scores [T,E] with all but the best groups masked; carries no gradient. */
  Tensor apply(Tensor scores) {
    if (groups == 1 || kept == groups) {
      return scores;
    }
    Tensor plain = scores.detach();
    long tokens = plain.size(0);
    long size = plain.size(1) / groups;
    Tensor grouped = plain.view(tokens, groups, size);
    Tensor rating =
        score == GroupScore.MAX
            ? grouped.max(-1, false)
            : grouped.topk(2, -1).values().sum(-1, false);
    Tensor best = Selection.top(rating, kept);
    Tensor open =
        Tensor.zeros(DType.F32, plain.device(), tokens, groups)
            .scatter(1, best, Tensor.full(1, DType.F32, plain.device(), tokens, kept))
            .gt(0)
            .unsqueeze(-1)
            .expand(tokens, groups, size)
            .reshape(tokens, groups * size);
    return plain.maskedFill(open.not(), mask == Mask.ZERO ? 0 : Double.NEGATIVE_INFINITY);
  }
}

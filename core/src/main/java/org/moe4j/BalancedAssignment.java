package org.moe4j;

import java.util.Arrays;
import org.moe4j.tensor.MoeException;

/**
 * The balanced assignment of T tokens to E experts with the largest sum of scores: every expert
 * gets exactly T / E tokens (S09, section 3.1). The result is an optimum; the auction of the
 * released code is a heuristic and stays below it by up to some percent.
 *
 * <p>Two phases with one price per expert. First an {@link AssignmentAuction auction}: the places
 * of an expert are alike, so it is the one for similar objects (Bertsekas and Castanon, 1989). Then
 * {@link AssignmentPaths shortest paths}: tokens that would not choose their place again at the
 * final prices, and those without one, are placed one by one along the cheapest chain of moves. At
 * the end every token has one of its best places at the prices of the end and every place is taken;
 * by complementary slackness that proves the optimum, whatever the auction did: it only saves work.
 * The worst case is O(T E^2) for the chains and O(T / E) for each cheapest mover that moves away;
 * memory is O(T E).
 *
 * <p>After reading the scores all arithmetic is on whole numbers, so ties and rounding can neither
 * mislead it nor keep it from ending. Scores count in units of a power of two, for fewer than 256
 * experts at most 2^-51 of the largest difference between two scores of a token. Scores whose
 * differences are multiples of the unit (whole numbers; F32 scores within 27 binary orders of
 * magnitude) are solved exactly, others to within T units: the rounding error of adding up T
 * scores.
 */
public final class BalancedAssignment {
  /** Bits of the largest cost, so that T costs add up in a double without losing its last ones. */
  private static final int MOST_BITS = 52;

  private BalancedAssignment() {}

  /**
   * An optimal assignment and its proof.
   *
   * @param experts [T] the expert of each token
   * @param prices [E] of a place: every token's expert is one where its score minus the price is
   *     largest
   */
  @SuppressWarnings("ArrayRecordComponent") // handed over, never compared
  public record Solution(int[] experts, double[] prices) {}

  /**
   * Solves the assignment on the calling thread. Scores that are not finite count as the smallest
   * finite one.
   *
   * @param scores [T,E] row by row; unchanged
   * @throws MoeException if T is not a multiple of E or no score is finite
   */
  public static Solution solve(double[] scores, int tokens, int experts) {
    if (experts < 1 || tokens < 0 || scores.length != (long) tokens * experts) {
      throw new MoeException(
          scores.length
              + " scores are not those of "
              + tokens
              + " tokens x "
              + experts
              + " experts; give one score for each pair");
    }
    if (tokens % experts != 0) {
      throw new MoeException(
          tokens
              + " tokens cannot be spread evenly over "
              + experts
              + " experts; give a number of tokens that is a multiple of "
              + experts);
    }
    double[] finite = finite(scores);
    double[] best = new double[tokens];
    int unit = exponent(range(finite, best, experts), experts);
    AssignmentState state =
        new AssignmentState(tokens, experts, costs(finite, best, experts, 1 - unit));
    new AssignmentAuction(state).run();
    new AssignmentPaths(state).run();
    double[] prices = new double[experts];
    Arrays.setAll(prices, e -> Math.scalb((double) state.price[e], unit));
    return new Solution(state.expert, prices);
  }

  private static double[] finite(double[] scores) {
    double least = Double.POSITIVE_INFINITY;
    boolean all = true;
    for (double s : scores) {
      if (Double.isFinite(s)) {
        least = Math.min(least, s);
      } else {
        all = false;
      }
    }
    if (all) {
      return scores;
    }
    if (least == Double.POSITIVE_INFINITY) {
      throw new MoeException(
          "none of the "
              + scores.length
              + " scores to assign tokens by is finite; look for overflow before this layer");
    }
    double[] filled = scores.clone();
    for (int i = 0; i < filled.length; i++) {
      filled[i] = Double.isFinite(filled[i]) ? filled[i] : least;
    }
    return filled;
  }

  /** Half the largest difference within a row (the whole might overflow); fills the rows' best. */
  private static double range(double[] scores, double[] best, int experts) {
    double range = 0;
    for (int t = 0; t < best.length; t++) {
      double high = Double.NEGATIVE_INFINITY;
      double low = Double.POSITIVE_INFINITY;
      for (int i = t * experts; i < (t + 1) * experts; i++) {
        high = Math.max(high, scores[i]);
        low = Math.min(low, scores[i]);
      }
      best[t] = high;
      range = Math.max(range, high / 2 - low / 2);
    }
    return range;
  }

  /** Half of what each score is below its row's best, in units of {@code 2^-exponent}. */
  private static long[] costs(double[] scores, double[] best, int experts, int exponent) {
    // In two factors, since the exponent may be beyond those of a double.
    double first = Math.scalb(1.0, exponent / 2);
    double second = Math.scalb(1.0, exponent - exponent / 2);
    long[] cost = new long[scores.length];
    for (int t = 0; t < best.length; t++) {
      double half = best[t] / 2;
      for (int i = t * experts; i < (t + 1) * experts; i++) {
        cost[i] = (long) Math.rint((half - scores[i] / 2) * first * second);
      }
    }
    return cost;
  }

  /** The unit's binary exponent: lengths of paths and prices, below 4 E costs, fit 62 bits. */
  private static int exponent(double halfRange, int experts) {
    if (halfRange == 0) {
      return 0;
    }
    int ofExperts = Integer.SIZE - Integer.numberOfLeadingZeros(experts);
    return Math.getExponent(halfRange) + 2 - Math.min(MOST_BITS, 60 - ofExperts);
  }
}

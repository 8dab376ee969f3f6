package org.moe4j;

import java.util.Arrays;
import java.util.Locale;
import org.moe4j.tensor.MoeException;

/**
 * Shares of tokens for nested experts under a budget of compute (S54, section 3.3). Expert i of E
 * (from 1, the smallest) computes with the first {@code 2^(i-E)} of the width, so that shares c
 * cost {@code sum_i c_i 2^(i-E)} of the full model. Among the shares of a given cost this finds the
 * maximum of {@code sum_i a_i c_i - beta sum_i c_i ln c_i}.
 *
 * <p>The programme is strictly concave; its solution is {@code c_i = exp(a_i / beta + mu 2^(i-E)) /
 * Z} with one mu, found by bisection.
 */
public final class BudgetCapacities {
  /** The reward a_i of expert i; the paper's formula and text can be read in two ways. */
  public enum Reward {
    /** delta^(i-1): larger experts are rewarded, as the text says and a port does. */
    PRODUCT,
    /** delta^-(i-1), as the formula is printed. */
    FRACTION
  }

  private BudgetCapacities() {}

  /**
   * The shares, smallest expert first.
   *
   * @param experts E
   * @param budget the cost, between 2^(1-E) and 1 exclusively; of a single expert any
   * @param beta weight of the entropy, above 0
   * @param delta ratio of rewards, above 1
   * @throws MoeException if there is no solution, with the range that has one
   */
  public static double[] solve(
      int experts, double budget, double beta, double delta, Reward reward) {
    if (!(beta > 0) || !(delta > 1)) {
      throw new MoeException(
          "capacities with beta " + beta + " and delta " + delta + "; give beta > 0, delta > 1");
    }
    if (experts == 1) {
      return new double[] {1};
    }
    double[] cost = costs(experts);
    if (!(budget > cost[0] && budget < 1)) {
      throw new MoeException(
          "a budget of "
              + budget
              + " of the full expert cannot be met by "
              + experts
              + String.format(Locale.ROOT, " nested ones; give more than %s", cost[0])
              + " and less than 1");
    }
    double[] base = new double[experts];
    Arrays.setAll(base, i -> Math.pow(delta, reward == Reward.PRODUCT ? i : -(double) i) / beta);
    double low = -1;
    double high = 1;
    while (cost(shares(base, cost, low), cost) > budget) {
      low *= 2;
    }
    while (cost(shares(base, cost, high), cost) < budget) {
      high *= 2;
    }
    for (int i = 0; i < 200; i++) {
      double middle = (low + high) / 2;
      if (cost(shares(base, cost, middle), cost) < budget) {
        low = middle;
      } else {
        high = middle;
      }
    }
    return shares(base, cost, high);
  }

  /** The cost of each expert as a share of the largest one's, smallest first. */
  static double[] costs(int experts) {
    double[] cost = new double[experts];
    Arrays.setAll(cost, i -> Math.scalb(1.0, i + 1 - experts));
    return cost;
  }

  /** The cost of these shares: the mean width over tokens as a share of the whole. */
  static double cost(double[] shares, double[] cost) {
    double sum = 0;
    for (int i = 0; i < shares.length; i++) {
      sum += shares[i] * cost[i];
    }
    return sum;
  }

  private static double[] shares(double[] base, double[] cost, double mu) {
    double[] c = new double[base.length];
    Arrays.setAll(c, i -> base[i] + mu * cost[i]);
    double max = Arrays.stream(c).max().orElse(0);
    double sum = Arrays.stream(c).map(v -> Math.exp(v - max)).sum();
    Arrays.setAll(c, i -> Math.exp(c[i] - max) / sum);
    return c;
  }
}

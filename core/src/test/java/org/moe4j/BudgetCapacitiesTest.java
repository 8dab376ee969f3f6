package org.moe4j;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.Arrays;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.moe4j.BudgetCapacities.Reward;
import org.moe4j.tensor.MoeException;

/** S54's capacity distribution: its constraints, its optimality and values known beforehand. */
class BudgetCapacitiesTest {
  private static double[] usual(double budget) {
    return BudgetCapacities.solve(4, budget, 10, 2, Reward.PRODUCT);
  }

  @Test
  void sharesOfFourExpertsAreTheKnownOnes() {
    Map.of(
            0.2, new double[] {.6009, .3104, .0828, .0059},
            0.3, new double[] {.4135, .3214, .1942, .0709},
            0.4, new double[] {.3070, .2825, .2391, .1714},
            0.5, new double[] {.2268, .2346, .2511, .2875},
            0.6, new double[] {.1612, .1844, .2413, .4131},
            0.8, new double[] {.0594, .0843, .1696, .6867})
        .forEach(
            (budget, shares) -> assertThat(usual(budget)).containsExactly(shares, within(1e-4)));
    assertThat(BudgetCapacities.solve(4, 0.3, 10, 2, Reward.FRACTION))
        .containsExactly(new double[] {.4204, .3153, .1912, .0730}, within(1e-4));
  }

  @Test
  void constraintsAndOptimalityHold() {
    for (int experts = 2; experts <= 6; experts++) {
      double[] cost = BudgetCapacities.costs(experts);
      assertThat(cost[experts - 1]).isEqualTo(1);
      for (double budget : new double[] {cost[0] + 0.02, (cost[0] + 1) / 2, 0.97}) {
        for (double beta : new double[] {0.5, 10}) {
          for (double delta : new double[] {1.5, 2, 3}) {
            for (Reward reward : Reward.values()) {
              double[] c = BudgetCapacities.solve(experts, budget, beta, delta, reward);
              assertThat(Arrays.stream(c).sum()).isCloseTo(1, within(1e-9));
              assertThat(BudgetCapacities.cost(c, cost)).isCloseTo(budget, within(1e-9));
              assertThat(Arrays.stream(c)).allMatch(v -> v >= 0 && v <= 1);
              stationary(c, cost, beta, delta, reward);
            }
          }
        }
      }
    }
  }

  /** The gradient of the objective is a combination of the constraints' two gradients. */
  private static void stationary(
      double[] c, double[] cost, double beta, double delta, Reward reward) {
    double[] g = new double[c.length];
    for (int i = 0; i < c.length; i++) {
      double a = reward == Reward.PRODUCT ? Math.pow(delta, i) : 1 / Math.pow(delta, i);
      g[i] = a - beta * (Math.log(c[i]) + 1);
    }
    int last = c.length - 1;
    double slope = (g[last] - g[0]) / (cost[last] - cost[0]);
    for (int i = 0; i < c.length; i++) {
      assertThat(g[i] - g[0] - slope * (cost[i] - cost[0])).isCloseTo(0, within(1e-8));
    }
  }

  @Test
  void atTheLimitsOneExpertTakesAll() {
    assertThat(usual(0.125 + 1e-7)).containsExactly(new double[] {1, 0, 0, 0}, within(1e-5));
    assertThat(usual(1 - 1e-7)).containsExactly(new double[] {0, 0, 0, 1}, within(1e-5));
    assertThat(BudgetCapacities.solve(1, 0.4, 10, 2, Reward.PRODUCT)).containsExactly(1);
  }

  @Test
  void impossibleBudgetsAreRefusedWithTheRange() {
    for (double budget : new double[] {0, 0.125, 1, 2, Double.NaN}) {
      assertThatThrownBy(() -> usual(budget))
          .isInstanceOf(MoeException.class)
          .hasMessageContaining("a budget of " + budget)
          .hasMessageContaining("more than 0.125 and less than 1")
          .hasMessageNotContaining("\n");
    }
    assertThatThrownBy(() -> BudgetCapacities.solve(4, 0.4, 0, 2, Reward.PRODUCT))
        .hasMessageContaining("beta 0.0");
    assertThatThrownBy(() -> BudgetCapacities.solve(4, 0.4, 10, 1, Reward.PRODUCT))
        .hasMessageContaining("delta 1.0");
  }
}

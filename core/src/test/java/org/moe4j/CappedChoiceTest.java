package org.moe4j;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.moe4j.CappedChoice.Solution;
import org.moe4j.CappedChoice.Solver;
import org.moe4j.tensor.MoeException;

/** The capped programme of S19 against its linear optimum, which a flow finds exactly. */
class CappedChoiceTest {
  private static final Random JAVA = new Random(5);

  private static double[][] scores(int experts, int tokens, double spread) {
    double[][] s = new double[experts][tokens];
    for (int t = 0; t < tokens; t++) {
      double[] z = new double[experts];
      Arrays.setAll(z, e -> spread * JAVA.nextGaussian());
      double[] p = Loops.softmax(z);
      for (int e = 0; e < experts; e++) {
        s[e][t] = p[e];
      }
    }
    return s;
  }

  /**
   * The optimum without entropy: it lies at whole numbers, so units of flow from experts to tokens
   * along best augmenting paths (Bellman-Ford) find it.
   */
  private static double optimum(double[][] s, int k, int limit) {
    int experts = s.length;
    int tokens = s[0].length;
    boolean[][] used = new boolean[experts][tokens];
    int[] given = new int[experts];
    int[] taken = new int[tokens];
    double total = 0;
    for (int unit = 0; unit < experts * k; unit++) {
      double[] expert = new double[experts];
      double[] token = new double[tokens];
      int[] before = new int[tokens];
      int[] back = new int[experts];
      Arrays.fill(token, Double.NEGATIVE_INFINITY);
      for (int e = 0; e < experts; e++) {
        expert[e] = given[e] < k ? 0 : Double.NEGATIVE_INFINITY;
        back[e] = -1;
      }
      boolean moved = true;
      while (moved) {
        moved = false;
        for (int e = 0; e < experts; e++) {
          for (int t = 0; t < tokens; t++) {
            if (!used[e][t] && expert[e] + s[e][t] > token[t] + 1e-12) {
              token[t] = expert[e] + s[e][t];
              before[t] = e;
              moved = true;
            }
            if (used[e][t] && token[t] - s[e][t] > expert[e] + 1e-12) {
              expert[e] = token[t] - s[e][t];
              back[e] = t;
              moved = true;
            }
          }
        }
      }
      int end = -1;
      for (int t = 0; t < tokens; t++) {
        if (taken[t] < limit && (end < 0 || token[t] > token[end])) {
          end = t;
        }
      }
      total += token[end];
      taken[end]++;
      int t = end;
      while (true) {
        int e = before[t];
        used[e][t] = true;
        if (back[e] < 0) {
          given[e]++;
          break;
        }
        t = back[e];
        used[e][t] = false;
      }
    }
    return total;
  }

  private static double value(double[][] s, Solution solution) {
    double sum = 0;
    for (int e = 0; e < s.length; e++) {
      for (int t = 0; t < s[e].length; t++) {
        sum += s[e][t] * Math.exp(solution.logA()[e][t]);
      }
    }
    return sum;
  }

  private static void limitsHold(
      double[][] s, Solution a, int k, int b, double row, double column) {
    double rowError = 0;
    double excess = 0;
    for (int e = 0; e < s.length; e++) {
      double sum = Arrays.stream(a.logA()[e]).map(Math::exp).sum();
      rowError = Math.max(rowError, Math.abs(sum - k) / k);
      assertThat(Arrays.stream(a.logA()[e])).allMatch(log -> log <= 0);
    }
    for (int t = 0; t < s[0].length; t++) {
      double sum = 0;
      for (int e = 0; e < s.length; e++) {
        sum += Math.exp(a.logA()[e][t]);
      }
      excess = Math.max(excess, sum - b);
    }
    assertThat(a.rowError()).isCloseTo(rowError, within(1e-12)).isLessThanOrEqualTo(row);
    assertThat(a.columnExcess()).isCloseTo(excess, within(1e-12)).isLessThanOrEqualTo(column);
  }

  @Test
  void theAnnealedSolverReachesTheOptimum() {
    for (int round = 0; round < 40; round++) {
      int k = 3 + round % 4; // of 4 experts and 12 tokens: c from 1 to 2
      double[][] s = scores(4, 12, 1 + 2 * (round % 2));
      Solution a = CappedChoice.solve(Solver.ANNEALED, s, k, 2, 0.001, 50);
      limitsHold(s, a, k, 2, 1e-6, 2e-2);
      assertThat(value(s, a)).isCloseTo(optimum(s, k, 2), within(1e-3 * 4 * k));
    }
  }

  @Test
  void dykstraReachesItWithMoreEntropyAndIterations() {
    for (int round = 0; round < 20; round++) {
      int k = 3 + round % 2;
      double[][] s = scores(4, 12, 1);
      Solution a = CappedChoice.solve(Solver.DYKSTRA, s, k, 2, 0.01, 1000);
      limitsHold(s, a, k, 2, 1e-2, 2e-2);
      assertThat(value(s, a)).isCloseTo(optimum(s, k, 2), within(1e-2 * 4 * k));
    }
  }

  @Test
  void bothSolversFindTheSameMatrixWhereBothConverge() {
    double[][] s = scores(4, 12, 1);
    Solution a = CappedChoice.solve(Solver.ANNEALED, s, 4, 2, 0.05, 500);
    Solution b = CappedChoice.solve(Solver.DYKSTRA, s, 4, 2, 0.05, 5000);
    for (int e = 0; e < 4; e++) {
      for (int t = 0; t < 12; t++) {
        assertThat(Math.exp(a.logA()[e][t])).isCloseTo(Math.exp(b.logA()[e][t]), within(5e-3));
      }
    }
  }

  @Test
  void thePapersSettingIsFiniteAndSaysHowFarItIs() {
    double[][] s = scores(8, 64, 3);
    Solution a = CappedChoice.solve(Solver.DYKSTRA, s, 16, 2, 0.001, 100);
    limitsHold(s, a, 16, 2, 1, 8);
    assertThat(a.rowError()).isGreaterThan(1e-2);
    for (double[] row : a.ranking()) {
      assertThat(Arrays.stream(row)).allMatch(Double::isFinite);
    }
  }

  @Test
  void muchEntropySpreadsEvenly() {
    for (Solver solver : Solver.values()) {
      Solution a = CappedChoice.solve(solver, scores(4, 12, 1), 3, 2, 1e4, 100);
      for (double[] row : a.logA()) {
        assertThat(Arrays.stream(row)).allMatch(v -> Math.abs(Math.exp(v) - 0.25) < 1e-3);
      }
    }
  }

  @Test
  void aCapThatNeverBindsIsPlainExpertChoice() {
    double[][] s = scores(4, 12, 1);
    Solution a = CappedChoice.solve(Solver.ANNEALED, s, 5, 4, 0.001, 15);
    for (int e = 0; e < 4; e++) {
      assertThat(Loops.top(a.ranking()[e], 5)).containsExactly(Loops.top(s[e], 5));
    }
  }

  @Test
  void extremeScoresStayFinite() {
    double[][] s = new double[8][32];
    for (int t = 0; t < 32; t++) {
      double[] z = new double[8];
      Arrays.setAll(z, e -> JAVA.nextBoolean() ? 50 : -50);
      double[] p = Loops.softmax(z);
      for (int e = 0; e < 8; e++) {
        s[e][t] = (float) p[e];
      }
    }
    for (Solver solver : Solver.values()) {
      for (int k : new int[] {1, 4, 8}) {
        Solution a = CappedChoice.solve(solver, s, k, 2, 0.001, 100);
        for (double[] row : a.ranking()) {
          assertThat(Arrays.stream(row)).allMatch(Double::isFinite);
        }
        assertThat(a.columnExcess()).isFinite();
      }
    }
  }

  @Test
  void tightCapsAndWholeRowsAreSolved() {
    // c = b: every token has exactly b experts. k = n: everybody takes everything.
    double[][] s = scores(4, 12, 1);
    limitsHold(s, CappedChoice.solve(Solver.ANNEALED, s, 6, 2, 0.01, 200), 6, 2, 1e-6, 2e-2);
    limitsHold(s, CappedChoice.solve(Solver.ANNEALED, s, 12, 4, 0.01, 50), 12, 4, 1e-6, 1e-6);
  }

  @Test
  void impossibleLimitsAreRefused() {
    double[][] s = scores(4, 12, 1);
    for (int k : new int[] {0, 7, 13}) {
      assertThatThrownBy(() -> CappedChoice.solve(Solver.ANNEALED, s, k, 2, 0.01, 10))
          .isInstanceOf(MoeException.class)
          .hasMessageContaining("4 experts of " + k + " tokens each and at most 2.0")
          .hasMessageNotContaining("\n");
    }
    assertThatThrownBy(() -> CappedChoice.solve(Solver.ANNEALED, s, 3, 2, 0, 10))
        .hasMessageContaining("entropy 0.0");
  }
}

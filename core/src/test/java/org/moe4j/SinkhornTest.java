package org.moe4j;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.Tensor;

/** The balanced plan (S17). */
class SinkhornTest extends InScope {
  private static final Sinkhorn EXACT = new Sinkhorn(1e-11, 1e-8, 10_000);

  private static double[] columns(double[][] plan) {
    double[] sums = new double[plan[0].length];
    for (double[] row : plan) {
      for (int e = 0; e < row.length; e++) {
        sums[e] += row[e];
      }
    }
    return sums;
  }

  /** Both marginals, relative to what they should be. */
  private static void marginals(Tensor plan, double tolerance) {
    double[][] p = rows(plan);
    for (double[] row : p) {
      assertThat(IntStream.range(0, row.length).mapToDouble(e -> row[e]).sum() * p.length)
          .isCloseTo(1, within(tolerance));
    }
    for (double sum : columns(p)) {
      assertThat(sum * p[0].length).isCloseTo(1, within(tolerance));
    }
  }

  @Test
  void rowsAndColumnsSumToTheirShares() {
    for (int experts : new int[] {1, 2, 8, 64}) {
      Tensor s = normal(256, experts);
      marginals(Sinkhorn.DEFAULT.plan(s), 1e-3);
      marginals(Sinkhorn.DEFAULT.plan(s.to(DType.F32)).to(DType.F64), 1e-3);
      // Beyond 50: by logarithms.
      marginals(EXACT.plan(s.mul(3).add(60)), 1e-9);
    }
  }

  @Test
  void isTheIterationOfTheFormula() {
    Tensor logits = normal(40, 5);
    double[][] s = rows(logits);
    double[] v = {1, 1, 1, 1, 1};
    double[] u = new double[40];
    for (int i = 0; i < 7; i++) {
      for (int t = 0; t < 40; t++) {
        double sum = 0;
        for (int e = 0; e < 5; e++) {
          sum += Math.exp(s[t][e]) * v[e];
        }
        u[t] = 1.0 / 40 / sum;
      }
      for (int e = 0; e < 5; e++) {
        double sum = 0;
        for (int t = 0; t < 40; t++) {
          sum += Math.exp(s[t][e]) * u[t];
        }
        v[e] = 1.0 / 5 / sum;
      }
    }
    double[] expected = new double[5];
    double[] actual = new Sinkhorn(0, 0, 7).columns(logits).toDoubles();
    for (int e = 0; e < 5; e++) {
      expected[e] = Math.log(v[e] / v[0]);
      actual[e] -= e == 0 ? 0 : actual[0];
    }
    actual[0] = 0;
    assertThat(actual).containsExactly(expected, within(1e-12));
  }

  @Test
  void constantsOfRowsAndColumnsChangeNothing() {
    Tensor s = normal(50, 6).mul(4).add(70);
    Tensor moved = s.add(normal(50, 1).mul(3)).add(normal(1, 6).mul(3));
    same(EXACT.plan(moved), EXACT.plan(s), 1e-9 / 50);
    Tensor small = normal(50, 6);
    Tensor other = small.add(normal(50, 1)).add(normal(1, 6));
    double[] a = Sinkhorn.DEFAULT.plan(small).toDoubles();
    double[] b = Sinkhorn.DEFAULT.plan(other).toDoubles();
    for (int i = 0; i < a.length; i++) {
      assertThat(b[i] / a[i]).isCloseTo(1, within(5e-3));
    }
  }

  @Test
  void aSharpPlanIsTheBestAssignment() {
    int tried = 0;
    for (int round = 0; tried < 5 && round < 200; round++) {
      double[][] s = rows(normal(6, 6));
      double[] two = bestTwo(s);
      if (two[0] - two[1] > 0.5) {
        tried++;
        double[][] plan = rows(new Sinkhorn(1e-4, 1e-8, 2000).plan(matrix(s).mul(20).add(60)));
        double sum = 0;
        for (int t = 0; t < 6; t++) {
          sum += s[t][Loops.top(plan[t], 1)[0]];
        }
        assertThat(sum).isCloseTo(two[0], within(1e-12));
      }
    }
    assertThat(tried).isEqualTo(5);
  }

  /** The best two sums over all permutations. */
  private static double[] bestTwo(double[][] s) {
    double[] best = {Double.NEGATIVE_INFINITY, Double.NEGATIVE_INFINITY};
    permute(s, 0, 0, new boolean[s.length], best);
    return best;
  }

  private static void permute(double[][] s, int t, double sum, boolean[] used, double[] best) {
    if (t == s.length) {
      if (sum > best[0]) {
        best[1] = best[0];
        best[0] = sum;
      } else if (sum > best[1]) {
        best[1] = sum;
      }
      return;
    }
    for (int e = 0; e < s.length; e++) {
      if (!used[e]) {
        used[e] = true;
        permute(s, t + 1, sum + s[t][e], used, best);
        used[e] = false;
      }
    }
  }

  @Test
  void largeLogitsDoNotOverflow() {
    for (double scale : new double[] {49, 80, 1e4}) {
      Tensor s = normal(64, 8).gt(0).to(DType.F32).mul(2 * scale).sub(scale);
      assertThat(Sinkhorn.DEFAULT.columns(s).allFinite()).isTrue();
      assertThat(Sinkhorn.DEFAULT.plan(s).allFinite()).isTrue();
    }
  }

  @Test
  void impossibleNumbersAreRefused() {
    assertThatThrownBy(() -> new Sinkhorn(-1, 1e-8, 10))
        .isInstanceOf(MoeException.class)
        .hasMessageContaining("tolerance -1");
    assertThatThrownBy(() -> new Sinkhorn(1e-4, 1e-8, 0)).hasMessageContaining("0 iterations");
  }
}

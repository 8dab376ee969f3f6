package org.moe4j;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.function.DoubleUnaryOperator;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.moe4j.tensor.MoeException;

/** The solver against the Hungarian method, and against its own proof where that is too slow. */
class BalancedAssignmentTest {
  /** Kinds of problems. */
  enum Kind {
    NORMAL,
    SKEWED,
    HEAVY_TAILED,
    WIDE,
    FLOATS,
    FEW_INTEGERS,
    ZERO_OR_ONE,
    EIGHTY,
    CONSTANT,
    EQUAL_ROWS,
    EQUAL_COLUMNS,
    RANK_ONE,
    RANK_TWO,
    ROW_OFFSETS;

    /** Whether sums of these scores are exact. */
    private boolean whole() {
      return List.of(FEW_INTEGERS, ZERO_OR_ONE, EIGHTY, CONSTANT).contains(this);
    }

    private double[][] scores(int tokens, int experts, Random r) {
      double[] row = r.doubles(experts, -2, 2).toArray();
      double[] other = r.doubles(experts, -2, 2).toArray();
      double[][] s = new double[tokens][experts];
      for (int t = 0; t < tokens; t++) {
        double a = r.nextGaussian();
        double b = r.nextGaussian();
        for (int e = 0; e < experts; e++) {
          double z = r.nextGaussian();
          s[t][e] =
              switch (this) {
                case NORMAL -> z;
                case SKEWED -> z + 4.0 * e / experts;
                case HEAVY_TAILED -> z / Math.abs(r.nextGaussian());
                case WIDE -> Math.exp(40 * z);
                case FLOATS -> (float) (80 * Math.tanh(z));
                case FEW_INTEGERS -> r.nextInt(4);
                case ZERO_OR_ONE -> r.nextInt(2);
                case EIGHTY -> r.nextBoolean() ? 80 : -80;
                case CONSTANT -> -3;
                case EQUAL_ROWS -> row[e];
                case EQUAL_COLUMNS -> e % 2 == 0 ? a : b;
                case RANK_ONE -> a * row[e];
                case RANK_TWO -> a * row[e] + b * other[e];
                case ROW_OFFSETS -> z + 1e6 * a;
              };
        }
      }
      return s;
    }
  }

  private static double[] flat(double[][] s) {
    return Arrays.stream(s).flatMapToDouble(Arrays::stream).toArray();
  }

  private static BalancedAssignment.Solution solve(double[][] s) {
    return BalancedAssignment.solve(flat(s), s.length, s[0].length);
  }

  private static double sum(double[][] s, int[] experts) {
    return IntStream.range(0, s.length).mapToDouble(t -> s[t][experts[t]]).sum();
  }

  private static void balanced(int[] chosen, int experts) {
    long[] load = new long[experts];
    for (int e : chosen) {
      load[e]++;
    }
    assertThat(load).containsOnly((long) chosen.length / experts);
  }

  /** The largest absolute score: what rounding is relative to. */
  private static double size(double[][] s) {
    return Arrays.stream(flat(s)).map(Math::abs).max().orElse(0);
  }

  /**
   * By weak duality no assignment is above the bound of any prices, so equality proves the optimum.
   */
  private static void proven(double[][] s, BalancedAssignment.Solution solution, double tolerance) {
    int experts = s[0].length;
    int places = s.length / experts;
    double bound = Arrays.stream(solution.prices()).sum() * places;
    for (double[] row : s) {
      double best = Double.NEGATIVE_INFINITY;
      for (int e = 0; e < experts; e++) {
        best = Math.max(best, row[e] - solution.prices()[e]);
      }
      bound += best;
    }
    assertThat(sum(s, solution.experts())).isCloseTo(bound, within(tolerance));
  }

  @ParameterizedTest
  @EnumSource
  void equalsTheHungarianMethod(Kind kind) {
    Random r = new Random(kind.name().hashCode());
    for (int round = 0; round < 150; round++) {
      int experts = 1 + r.nextInt(9);
      int tokens = experts * (1 + r.nextInt(8));
      double[][] s = kind.scores(tokens, experts, r);
      BalancedAssignment.Solution solution = solve(s);
      balanced(solution.experts(), experts);
      double optimum = Hungarian.balanced(s);
      double tolerance = kind.whole() ? 0 : tokens * 1e-15 * Math.max(1, size(s)) * experts;
      assertThat(sum(s, solution.experts())).isCloseTo(optimum, within(tolerance));
      proven(s, solution, tokens * 1e-13 * Math.max(1, size(s)));
    }
  }

  @ParameterizedTest
  @EnumSource
  void isProvenOptimalAtFullSize(Kind kind) {
    Random r = new Random(kind.name().hashCode() + 1L);
    for (int[] shape : new int[][] {{2048, 64}, {4096, 16}, {512, 2}, {64, 64}, {4096, 64}}) {
      double[][] s = kind.scores(shape[0], shape[1], r);
      BalancedAssignment.Solution solution = solve(s);
      balanced(solution.experts(), shape[1]);
      proven(s, solution, 1e-11 * shape[0] * Math.max(1, size(s)));
    }
  }

  @Test
  void wholeNumbersAreSolvedExactlyHoweverLarge() {
    Random r = new Random(5);
    for (int round = 0; round < 50; round++) {
      int experts = 2 + r.nextInt(5);
      int tokens = experts * (1 + r.nextInt(6));
      double[][] small = new double[tokens][experts];
      double[][] large = new double[tokens][experts];
      for (int t = 0; t < tokens; t++) {
        for (int e = 0; e < experts; e++) {
          small[t][e] = r.nextInt(1 << 20);
          large[t][e] = small[t][e] + (double) (1L << 40);
        }
      }
      assertThat(sum(small, solve(small).experts())).isEqualTo(Hungarian.balanced(small));
      assertThat(solve(large).experts()).containsExactly(solve(small).experts());
    }
  }

  @Test
  void scaleAndTheOffsetOfATokenChangeNothing() {
    Random r = new Random(6);
    double[][] s = Kind.NORMAL.scores(96, 8, r);
    int[] expected = solve(s).experts();
    for (DoubleUnaryOperator map :
        List.<DoubleUnaryOperator>of(
            v -> v * 1e-6, v -> v * 1e6, v -> v * 0x1p-900, v -> v * 0x1p1021, v -> v + 77)) {
      double[][] other =
          Arrays.stream(s)
              .map(row -> Arrays.stream(row).map(map).toArray())
              .toArray(double[][]::new);
      assertThat(solve(other).experts()).containsExactly(expected);
    }
  }

  @Test
  void relabelledTokensAndExpertsAreRelabelledInTheAnswer() {
    Random r = new Random(7);
    double[][] s = Kind.NORMAL.scores(60, 6, r);
    int[] expected = solve(s).experts();
    double[][] reversed = new double[60][6];
    for (int t = 0; t < 60; t++) {
      for (int e = 0; e < 6; e++) {
        reversed[59 - t][5 - e] = s[t][e];
      }
    }
    int[] actual = solve(reversed).experts();
    for (int t = 0; t < 60; t++) {
      assertThat(5 - actual[59 - t]).isEqualTo(expected[t]);
    }
  }

  @Test
  void whatIsNotFiniteCountsAsTheSmallestFiniteScore() {
    Random r = new Random(8);
    double[][] s = Kind.NORMAL.scores(32, 4, r);
    double least = Arrays.stream(flat(s)).min().orElseThrow();
    double[][] bad = Arrays.stream(s).map(double[]::clone).toArray(double[][]::new);
    double[][] mended = Arrays.stream(s).map(double[]::clone).toArray(double[][]::new);
    double[] poison = {Double.NaN, Double.POSITIVE_INFINITY, Double.NEGATIVE_INFINITY};
    for (int i = 0; i < 30; i++) {
      int t = r.nextInt(32);
      int e = r.nextInt(4);
      if (s[t][e] > least) {
        bad[t][e] = poison[i % 3];
        mended[t][e] = least;
      }
    }
    assertThat(solve(bad).experts()).containsExactly(solve(mended).experts());
    double[] none = new double[8];
    Arrays.fill(none, Double.NaN);
    assertThatThrownBy(() -> BalancedAssignment.solve(none, 4, 2))
        .isInstanceOf(MoeException.class)
        .hasMessageContaining("none of the 8 scores");
  }

  @Test
  void anUnevenNumberOfTokensIsRefusedAndNoneIsNone() {
    assertThatThrownBy(() -> BalancedAssignment.solve(new double[14], 7, 2))
        .isInstanceOf(MoeException.class)
        .hasMessageContaining("7 tokens")
        .hasMessageContaining("multiple of 2");
    assertThatThrownBy(() -> BalancedAssignment.solve(new double[13], 7, 2))
        .isInstanceOf(MoeException.class)
        .hasMessageContaining("13 scores");
    assertThat(BalancedAssignment.solve(new double[0], 0, 4).experts()).isEmpty();
    assertThat(BalancedAssignment.solve(new double[] {1, -2, 3}, 3, 1).experts())
        .containsExactly(0, 0, 0);
  }
}

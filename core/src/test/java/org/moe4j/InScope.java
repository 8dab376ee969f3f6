package org.moe4j;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.function.Supplier;
import org.junit.jupiter.api.AfterEach;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.Device;
import org.moe4j.tensor.NoGrad;
import org.moe4j.tensor.Ops;
import org.moe4j.tensor.RandomSource;
import org.moe4j.tensor.Scope;
import org.moe4j.tensor.Tensor;

/** A test whose tensors are freed after each method, with helpers in F64. */
abstract class InScope {
  static {
    // Tiny tensors gain nothing from threads, and waiting for one on a busy machine costs seconds.
    Ops.threads(1);
  }

  final RandomSource random = new RandomSource(7);
  // JUnit makes one instance per method, so this scope holds one test's tensors.
  private final Scope scope = Scope.open();

  @AfterEach
  void closeScope() {
    scope.close();
  }

  /** A store of F64 parameters. */
  static ParameterStore wide(long seed) {
    return new ParameterStore(new RandomSource(seed), Device.CPU, DType.F64);
  }

  Tensor normal(long... shape) {
    return random.normal(0, 1, DType.F64, shape);
  }

  static Tensor matrix(double[][] rows) {
    int columns = rows.length == 0 ? 0 : rows[0].length;
    double[] flat = new double[rows.length * columns];
    for (int i = 0; i < rows.length; i++) {
      System.arraycopy(rows[i], 0, flat, i * columns, columns);
    }
    return Tensor.of(flat, rows.length, columns);
  }

  static double[][] rows(Tensor matrix) {
    double[] flat = matrix.toDoubles();
    int columns = (int) matrix.size(1);
    double[][] rows = new double[(int) matrix.size(0)][columns];
    for (int i = 0; i < rows.length; i++) {
      System.arraycopy(flat, i * columns, rows[i], 0, columns);
    }
    return rows;
  }

  static int[][] indices(Tensor matrix) {
    double[][] rows = rows(matrix);
    int[][] out = new int[rows.length][];
    for (int i = 0; i < rows.length; i++) {
      out[i] = Arrays.stream(rows[i]).mapToInt(v -> (int) v).toArray();
    }
    return out;
  }

  static void same(Tensor actual, Tensor expected, double tolerance) {
    assertThat(actual.shape()).containsExactly(expected.shape());
    assertThat(actual.toDoubles()).containsExactly(expected.toDoubles(), within(tolerance));
  }

  private static double value(Supplier<Tensor> loss) {
    try (Scope scope = Scope.open();
        NoGrad off = NoGrad.open()) {
      return loss.get().item();
    }
  }

  /**
   * Compares the gradient of {@code leaf} (F64) with central differences, at every element of a
   * small leaf and at about forty of a large one.
   */
  static void slopes(String what, Tensor leaf, double tolerance, Supplier<Tensor> loss) {
    leaf.clearGrad();
    loss.get().backward();
    double[] gradient = leaf.grad().orElseThrow(() -> new AssertionError(what)).toDoubles();
    leaf.clearGrad();
    MemorySegment memory = leaf.segment();
    double step = 1e-6;
    for (int i = 0; i < gradient.length; i += 1 + gradient.length / 40) {
      double at = memory.getAtIndex(ValueLayout.JAVA_DOUBLE, i);
      memory.setAtIndex(ValueLayout.JAVA_DOUBLE, i, at + step);
      double up = value(loss);
      memory.setAtIndex(ValueLayout.JAVA_DOUBLE, i, at - step);
      double down = value(loss);
      memory.setAtIndex(ValueLayout.JAVA_DOUBLE, i, at);
      double slope = (up - down) / (2 * step);
      assertThat(gradient[i])
          .as("%s[%d]", what, i)
          .isCloseTo(slope, within(tolerance * Math.max(1, Math.abs(slope))));
    }
  }
}

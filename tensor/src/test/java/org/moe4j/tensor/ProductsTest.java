package org.moe4j.tensor;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Products of few rows, by the library and by vector instructions, against sums of doubles. */
class ProductsTest {
  private final int threads = Ops.threads();
  private final Scope scope = Scope.open();
  private final RandomSource random = new RandomSource(3);

  @BeforeEach
  void twoThreads() {
    Ops.threads(2);
  }

  @AfterEach
  void close() {
    scope.close();
    Ops.threads(threads);
  }

  /** One way to compute it. */
  private interface Way {
    void into(Tensor out, Tensor x, Tensor w);
  }

  private Tensor normal(DType type, long rows, long columns) {
    return random.normal(0, 1, DType.F64, rows, columns).to(type);
  }

  private static void equalsTheSum(Way way, Tensor out, Tensor x, Tensor w) {
    double[] exact = x.to(DType.F64).mm(w.to(DType.F64).t()).toDoubles();
    out.fillInPlace(Double.NaN);
    way.into(out, x, w);
    double spread = 1e-14;
    switch (out.dtype()) {
      case F32 -> spread = 1e-5;
      case BF16 -> spread = 0.01;
      default -> {}
    }
    double[] got = out.contiguous().toDoubles();
    double largest = Math.sqrt((double) x.size(1));
    for (int i = 0; i < exact.length; i++) {
      double room = spread * Math.max(largest, Math.abs(exact[i]));
      assertThat(got[i]).as("%s at %d", out.dtype(), i).isCloseTo(exact[i], within(room));
    }
  }

  @ParameterizedTest
  @CsvSource({"1,1", "3,31", "5,32", "7,33", "8,64", "2,129", "9,257", "4,2048", "300,70"})
  void everyShapeAndType(long o, long n) {
    for (DType type : new DType[] {DType.F64, DType.F32, DType.BF16}) {
      Tensor w = normal(type, o + 3, n).narrow(0, 2, o);
      for (long m : new long[] {1, 2, 3, 4, 5, 8, 11}) {
        Tensor x = normal(type, m + 1, n).narrow(0, 1, m);
        // A band of columns: its rows do not follow each other.
        Tensor out = Tensor.zeros(type, Device.CPU, m, o + 4).narrow(1, 1, o);
        equalsTheSum(Products::library, out, x, w);
        equalsTheSum(Products::fewRows, out, x, w);
        if (type != DType.F64) {
          equalsTheSum(VectorRows::into, out, x, w);
        }
      }
    }
  }

  @Test
  void workersShareTheRowsOfALargeMatrix() {
    for (DType type : new DType[] {DType.F32, DType.BF16}) {
      Tensor w = normal(type, 1500, 700);
      for (long m : new long[] {0, 1, 2, 16, 17}) {
        Tensor x = normal(type, m, 700);
        equalsTheSum(
            (out, left, right) -> Products.into(out, left, right.t()),
            Tensor.empty(type, Device.CPU, m, 1500),
            x,
            w);
      }
    }
  }

  @Test
  void infinitiesAndNanArriveAndNothingElseIsTouched() {
    for (DType type : new DType[] {DType.F32, DType.BF16}) {
      Tensor w = Tensor.ones(3, 40).to(type);
      w.select(0, 0).narrow(0, 7, 1).fillInPlace(Double.NaN);
      w.select(0, 1).narrow(0, 8, 1).fillInPlace(Double.NEGATIVE_INFINITY);
      Tensor out = Tensor.zeros(type, Device.CPU, 1, 5);
      VectorRows.into(out.narrow(1, 1, 3), Tensor.ones(1, 40).to(type), w);
      assertThat(out.toDoubles()).containsExactly(0, Double.NaN, Double.NEGATIVE_INFINITY, 40, 0);
    }
  }
}

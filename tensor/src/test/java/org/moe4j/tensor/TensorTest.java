package org.moe4j.tensor;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

class TensorTest {
  private final Scope scope = Scope.open();

  @AfterEach
  void close() {
    scope.close();
  }

  @Test
  void arraysGoInAndComeOut() {
    assertThat(Tensor.of(new float[] {1, 2, 3, 4}, 2, 2).t().toFloats())
        .containsExactly(1, 3, 2, 4);
    assertThat(Tensor.of(new long[] {5, -6}).toLongs()).containsExactly(5, -6);
    assertThat(Tensor.of(new double[0]).toDoubles()).isEmpty();
    assertThatThrownBy(() -> Tensor.of(new int[] {1, 2, 3}, 2, 2))
        .hasMessageContaining("3 values do not fill the shape [2, 2]");
  }

  @Test
  void everyTypeKeepsItsName() {
    for (DType dtype : DType.values()) {
      assertThat(Tensor.zeros(dtype, Device.CPU, 2).dtype()).isEqualTo(dtype);
    }
  }

  @Test
  void aSegmentIsTheMemoryItself() {
    Tensor t = Tensor.zeros(4);
    t.segment().set(java.lang.foreign.ValueLayout.JAVA_FLOAT, 8, 2.5f);
    assertThat(t.toFloats()).containsExactly(0, 0, 2.5f, 0);
    Tensor matrix = Tensor.zeros(2, 3).t();
    assertThatThrownBy(matrix::segment).isInstanceOf(IllegalStateException.class);
  }

  @Test
  void finitenessIsSeen() {
    assertThat(Tensor.ones(5).mul(1e38).allFinite()).isTrue();
    assertThat(Tensor.of(new float[] {1, Float.NaN}).allFinite()).isFalse();
    assertThat(Tensor.of(new float[] {1, Float.NEGATIVE_INFINITY}).allFinite()).isFalse();
  }

  @Test
  void gradientsAreSetAndCleared() {
    Tensor w = Tensor.ones(3).requiresGrad(true);
    w.setGrad(Tensor.ones(3).mul(4));
    assertThat(w.grad().orElseThrow().toFloats()).containsExactly(4, 4, 4);
    w.square().sum().backward();
    assertThat(w.grad().orElseThrow().toFloats()).containsExactly(6, 6, 6);
    w.clearGrad();
    assertThat(w.grad()).isEmpty();
  }

  @Test
  void rmsNormAgreesWithTheFormulaInDouble() {
    RandomSource random = new RandomSource(2);
    Tensor x = random.normal(5, 7);
    Tensor w = random.normal(7);
    float[] got = Ops.rmsNorm(x, w, 1e-5).toFloats();
    double[] xs = x.toDoubles();
    double[] ws = w.toDoubles();
    for (int r = 0; r < 5; r++) {
      double square = 0;
      for (int i = 0; i < 7; i++) {
        square += xs[r * 7 + i] * xs[r * 7 + i];
      }
      for (int i = 0; i < 7; i++) {
        double expected = ws[i] * xs[r * 7 + i] / Math.sqrt(square / 7 + 1e-5);
        assertThat((double) got[r * 7 + i]).isCloseTo(expected, within(1e-6));
      }
    }
  }

  @Test
  void groupedProductEqualsOneProductAGroup() {
    RandomSource random = new RandomSource(4);
    Tensor x = random.normal(9, 8);
    Tensor w = random.normal(4, 8, 16);
    int[] ends = {4, 4, 5, 9};
    Tensor y = Ops.groupedMm(x, w, Tensor.of(ends));
    int start = 0;
    for (int e = 0; e < 4; e++) {
      float[] expected = x.narrow(0, start, ends[e] - start).mm(w.select(0, e)).toFloats();
      assertThat(y.narrow(0, start, ends[e] - start).toFloats())
          .containsExactly(expected, within(1e-5f));
      start = ends[e];
    }
  }

  @Test
  void anUnknownOperatorIsNamed() {
    assertThatThrownBy(() -> NativeOp.of("no_such_operator"))
        .isInstanceOf(MoeException.class)
        .hasMessageContaining("aten::no_such_operator");
  }

  @Test
  void rowsAloneStandForAMatrix() {
    try (Scope scope = Scope.open()) {
      Tensor a =
          Tensor.ofRows(
              Tensor.of(new long[] {1, 3}), Tensor.of(new float[] {1, 2, 3, 4}, 2, 2), 5, 2);
      Tensor b =
          Tensor.ofRows(Tensor.of(new long[] {3}), Tensor.of(new float[] {5, 6}, 1, 2), 5, 2);
      assertThat(a.isRows()).isTrue();
      assertThat(a.allRows().isRows()).isFalse();
      assertThat(a.allRows().toFloats()).containsExactly(0, 0, 1, 2, 0, 0, 3, 4, 0, 0);
      Tensor sum = a.addRows(b);
      assertThat(sum.rowIndex().toLongs()).containsExactly(1, 3);
      assertThat(sum.rowValues().toFloats()).containsExactly(1, 2, 8, 10);
      Tensor leaf = Tensor.zeros(5, 2).requiresGrad(true);
      leaf.setGrad(a);
      assertThat(leaf.grad().orElseThrow().isRows()).isTrue();
      leaf.clearGrad();
      assertThat(leaf.grad()).isEmpty();
    }
  }

  @Test
  void weightedSumsOfRows() {
    try (Scope scope = Scope.open()) {
      Tensor rows = Tensor.of(new float[] {1, 2, 3, 4}, 2, 2);
      Tensor sums =
          Ops.sumRows(
              rows,
              Tensor.of(new long[] {0, 1, 1}),
              Tensor.of(new long[] {0, 2, 2}),
              Tensor.of(new float[] {2, 3, 10}));
      assertThat(sums.toFloats()).containsExactly(11, 16, 0, 0, 30, 40);
    }
  }
}

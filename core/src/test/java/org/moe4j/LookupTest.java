package org.moe4j;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.function.Supplier;
import org.junit.jupiter.api.Test;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.Device;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.RandomSource;
import org.moe4j.tensor.Tensor;

class LookupTest extends InScope {
  private static final int N = 7;
  private static final int D = 5;

  /** Two tokens read row 3, one of them twice; rows 0, 4 and 6 are read by none; one hole. */
  private static Tensor ids() {
    return Tensor.of(new long[] {3, 1, 3, 5, 2, -1, 3, 1, 5}, 3, 3);
  }

  private Tensor leaf(long... shape) {
    return normal(shape).requiresGrad(true);
  }

  private Parameter table() {
    return wide(random.nextSeed()).create("table", Role.NON_EXPERT, Init.normal(1), N, D);
  }

  private static Tensor gradient(Tensor leaf) {
    Tensor g = leaf.grad().orElseThrow().allRows().copy();
    leaf.clearGrad();
    return g;
  }

  @Test
  void bothFunctionsAndTheirGradientsAreThoseOfWholeTensors() {
    for (boolean rows : new boolean[] {false, true}) {
      Parameter parameter = table();
      Tensor table = parameter.tensor();
      Tensor x = leaf(3, D);
      Tensor weights = leaf(3, 3);
      Tensor real = ids().ge(0).to(DType.F64);
      Lookup lookup = new Lookup(ids(), N, rows);
      Supplier<Tensor> fast =
          () ->
              lookup
                  .mix(parameter, lookup.dots(parameter, x).mul(real).mul(weights))
                  .square()
                  .sum();
      Supplier<Tensor> plain =
          () ->
              lookup
                  .plainMix(table, lookup.plainDots(table, x).mul(real).mul(weights))
                  .square()
                  .sum();
      same(fast.get(), plain.get(), 1e-10);
      fast.get().backward();
      assertThat(table.grad().orElseThrow().isRows()).isEqualTo(rows);
      Tensor[] own = {gradient(table), gradient(x), gradient(weights)};
      plain.get().backward();
      same(own[0], gradient(table), 1e-10);
      same(own[1], gradient(x), 1e-10);
      same(own[2], gradient(weights), 1e-10);
    }
  }

  @Test
  void gradientsOfSeveralPassesAddUp() {
    Tensor x = normal(3, D);
    for (boolean rows : new boolean[] {false, true}) {
      Parameter parameter = table();
      Tensor table = parameter.tensor();
      new Lookup(ids(), N, rows).dots(parameter, x).sum().backward();
      Tensor once = table.grad().orElseThrow().allRows().copy();
      Tensor other = Tensor.of(new long[] {6, 3, 0}, 3, 1);
      new Lookup(other, N, rows).mix(parameter, Tensor.ones(3, 1).to(DType.F64)).sum().backward();
      double[][] expected = rows(once);
      for (int row : new int[] {6, 3, 0}) {
        for (int i = 0; i < D; i++) {
          expected[row][i]++;
        }
      }
      Tensor sum = table.grad().orElseThrow();
      same(sum.allRows(), matrix(expected), 1e-12);
      if (rows) {
        assertThat(sum.rowIndex().toLongs()).containsExactly(0, 1, 2, 3, 5, 6);
      }
    }
  }

  @Test
  void aFrozenTableHasNoGradientAndTheInputStillHas() {
    Parameter table = table();
    table.freeze();
    Tensor x = leaf(3, D);
    new Lookup(ids(), N, true).dots(table, x).sum().backward();
    assertThat(table.tensor().grad()).isEmpty();
    assertThat(x.grad()).isPresent();
  }

  @Test
  void nothingReadGivesNothing() {
    Parameter table = table();
    Tensor none = Tensor.of(new long[] {-1, -1}, 2, 1);
    Tensor y = new Lookup(none, N, true).mix(table, Tensor.ones(2, 1).to(DType.F64));
    assertThat(y.toDoubles()).containsOnly(0);
    y.sum().backward();
    assertThat(table.tensor().grad().orElseThrow().rowIndex().numel()).isZero();
  }

  @Test
  void narrowTablesAreComputedInSinglePrecision() {
    Parameter table =
        new ParameterStore(new RandomSource(1), Device.CPU, DType.BF16)
            .create("table", Role.NON_EXPERT, Init.normal(1), N, D);
    Tensor x = random.normal(3, D);
    Lookup lookup = new Lookup(ids(), N, true);
    Tensor wide = table.tensor().detach().to(DType.F64);
    Tensor dots = lookup.dots(table, x);
    assertThat(dots.dtype()).isEqualTo(DType.F32);
    same(dots.to(DType.F64), lookup.plainDots(wide, x.to(DType.F64)), 1e-5);
    Tensor weights = random.normal(3, 3);
    same(
        lookup.mix(table, weights).to(DType.F64),
        lookup.plainMix(wide, weights.to(DType.F64)),
        1e-5);
    lookup.mix(table, weights).sum().backward();
    assertThat(table.tensor().grad().orElseThrow().dtype()).isEqualTo(DType.BF16);
  }

  @Test
  void aLaterStepReusesTheMemoryAndIsRightWithFewerOrMoreRows() {
    Parameter table = table();
    Tensor one = Tensor.ones(1, 1).to(DType.F64);
    for (long[] read : new long[][] {{1, 4}, {5}, {0, 2, 3, 6}, {2}}) {
      Tensor rows = Tensor.of(read, 1, read.length);
      Tensor weights = one.expand(1, read.length).contiguous();
      new Lookup(rows, N, true).mix(table, weights).sum().backward();
      Tensor gradient = table.tensor().grad().orElseThrow();
      assertThat(gradient.rowIndex().toLongs()).containsExactly(read);
      assertThat(gradient.rowValues().toDoubles()).containsOnly(1);
      table.tensor().clearGrad();
    }
  }

  @Test
  void aRowBehindTheTableIsRefused() {
    Lookup lookup = new Lookup(Tensor.of(new long[] {N}, 1, 1), N, true);
    Tensor vectors = normal(1, D);
    assertThatThrownBy(() -> lookup.rowSums(vectors, Tensor.ones(1, 1).to(DType.F64)))
        .isInstanceOf(MoeException.class)
        .hasMessageContaining("row 7 of a table of 7 rows");
  }
}

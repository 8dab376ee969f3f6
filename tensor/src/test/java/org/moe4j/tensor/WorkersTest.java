package org.moe4j.tensor;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.concurrent.atomic.AtomicIntegerArray;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class WorkersTest {
  private final int threads = Ops.threads();
  private final Scope scope = Scope.open();

  @BeforeEach
  void threeThreads() {
    Ops.threads(3);
  }

  @AfterEach
  void restore() {
    scope.close();
    Ops.threads(threads);
  }

  @Test
  void everyTaskRunsOnceManyTimesOver() {
    for (int repeat = 0; repeat < 300; repeat++) {
      eachOnce();
    }
    assertThat(Ops.threads()).isEqualTo(3);
  }

  @Test
  void aLoopInsideALoopRunsOnItsOwnThread() {
    AtomicIntegerArray seen = new AtomicIntegerArray(20);
    Workers.run(4, i -> Workers.run(5, j -> seen.incrementAndGet(i * 5 + j)));
    for (int i = 0; i < 20; i++) {
      assertThat(seen.get(i)).isEqualTo(1);
    }
  }

  @Test
  void aFailureReachesTheCallerAndTheNextLoopWorks() {
    assertThatThrownBy(
            () ->
                Workers.run(
                    50,
                    i -> {
                      if (i == 7) {
                        throw new MoeException("task seven");
                      }
                    }))
        .isInstanceOf(MoeException.class)
        .hasMessage("task seven");
    eachOnce();
  }

  private static void eachOnce() {
    AtomicIntegerArray seen = new AtomicIntegerArray(37);
    Workers.run(37, seen::incrementAndGet);
    for (int i = 0; i < 37; i++) {
      assertThat(seen.get(i)).isEqualTo(1);
    }
  }

  @Test
  void nothingIsRecordedAndWhatATaskMakesIsFreed() {
    Tensor w = Tensor.ones(3).requiresGrad(true);
    Tensor[] made = new Tensor[8];
    boolean[] recorded = new boolean[8];
    Workers.run(
        8,
        i -> {
          made[i] = w.mul(2);
          recorded[i] = made[i].requiresGrad();
        });
    assertThat(recorded).containsOnly(false);
    assertThat(made).allMatch(t -> t.at.isNull());
    assertThat(NoGrad.recording()).isTrue();
  }

  @ParameterizedTest
  @CsvSource({"1,1,1", "7,300,5", "513,64,130", "2000,256,300"})
  void productsEqualLibtorchs(long m, long k, long n) {
    RandomSource random = new RandomSource(m);
    Tensor a = random.normal(0, 1, DType.F64, m, k);
    Tensor b = random.normal(0, 1, DType.F64, n, k);
    Tensor out = Tensor.empty(DType.F64, Device.CPU, m, n);
    Products.into(out, a, b.t());
    Tensor expected = a.mm(b.t());
    assertThat(distance(out, expected)).isLessThan(1e-10);
    Products.addInto(out, a, b.t());
    assertThat(distance(out, expected.mul(2))).isLessThan(1e-10);
  }

  private static double distance(Tensor a, Tensor b) {
    return a.sub(b).abs().max().item();
  }
}

package org.moe4j.lab;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.List;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.moe4j.tensor.Ops;

class SideBySideTest {
  private static final List<Integer> PIECES = IntStream.range(0, 20).boxed().toList();

  @Test
  void resultsComeInTheOrderOfThePieces() {
    assertThat(SideBySide.run(3, PIECES, (i, failed) -> i * i))
        .isEqualTo(PIECES.stream().map(i -> i * i).toList());
  }

  @Test
  void piecesRunAtTheSameTimeEachOnOneThread() {
    int threads = Ops.threads();
    CountDownLatch together = new CountDownLatch(2);
    Set<Integer> inside = ConcurrentHashMap.newKeySet();
    SideBySide.run(
        2,
        List.of(1, 2),
        (i, failed) -> {
          together.countDown();
          inside.add(Ops.threads());
          return waitFor(together);
        });
    assertThat(inside).containsExactly(1);
    assertThat(Ops.threads()).isEqualTo(threads);
  }

  @Test
  void oneLaneIsThisThreadWithAllItsThreads() {
    int threads = Ops.threads();
    Thread own = Thread.currentThread();
    SideBySide.run(
        1,
        PIECES,
        (i, failed) -> {
          assertThat(Thread.currentThread()).isSameAs(own);
          assertThat(Ops.threads()).isEqualTo(threads);
          return i;
        });
  }

  @Test
  void theFirstFailureIsThrownAndTheOthersMayGiveUp() {
    AtomicInteger gaveUp = new AtomicInteger();
    int threads = Ops.threads();
    assertThatThrownBy(
            () ->
                SideBySide.run(
                    2,
                    List.of(0, 1),
                    (i, failed) -> {
                      if (i == 0) {
                        throw new IllegalArgumentException("the first");
                      }
                      while (!failed.getAsBoolean()) {
                        Thread.onSpinWait();
                      }
                      gaveUp.incrementAndGet();
                      throw new IllegalStateException("gave up");
                    }))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage("the first");
    assertThat(gaveUp).hasValue(1);
    assertThat(Ops.threads()).isEqualTo(threads);
  }

  private static int waitFor(CountDownLatch together) {
    try {
      together.await();
      return 0;
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IllegalStateException(e);
    }
  }
}

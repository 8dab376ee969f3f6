package org.moe4j.models;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.moe4j.LentExperts;
import org.moe4j.models.ExpertCache.Weights;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.Scope;
import org.moe4j.tensor.Tensor;

class ExpertCacheTest {
  private static final LentExperts.Use NOTHING = (in, out) -> {};

  /** Weights that tell which expert they are. */
  private static Weights weights(int expert) {
    try (Scope scope = Scope.open()) {
      return new Weights(
          Tensor.of(new long[] {expert}, 1).keep(), Tensor.of(new long[] {-expert}, 1).keep());
    }
  }

  @Test
  void keepsTheOnesUsedLast() {
    AtomicInteger reads = new AtomicInteger();
    try (ExpertCache cache = new ExpertCache(20)) {
      for (int e : new int[] {0, 1, 0, 2, 0, 1}) {
        cache.with(
            7,
            e,
            10,
            () -> {
              reads.incrementAndGet();
              return weights(e);
            },
            (in, out) -> assertThat(in.toLongs()).containsExactly(e));
      }
      // 1 is dropped for 2, as 0 was used after it, and then 2 for 1.
      assertThat(cache.stats()).isEqualTo(new ExpertCache.Stats(2, 4, 40, 20, 20));
      assertThat(reads).hasValue(4);
    }
  }

  @Test
  void layersHaveTheirOwn() {
    try (ExpertCache cache = new ExpertCache(100)) {
      cache.with(0, 3, 10, () -> weights(3), NOTHING);
      cache.with(1, 3, 10, () -> weights(4), (in, out) -> assertThat(in.item()).isEqualTo(4));
      assertThat(cache.stats().loads()).isEqualTo(2);
    }
  }

  @ParameterizedTest
  @ValueSource(longs = {0, 10, 25, 60, 1000})
  void threadsNeverHoldMoreThanTheLimitOrOneExpert(long limit) throws Exception {
    int calls = 400;
    try (ExpertCache cache = new ExpertCache(limit);
        var pool = Executors.newFixedThreadPool(4)) {
      List<Future<?>> all = new ArrayList<>();
      for (int thread = 0; thread < 4; thread++) {
        Random random = new Random(thread);
        all.add(
            pool.submit(
                () -> {
                  for (int i = 0; i < calls; i++) {
                    int e = random.nextInt(12);
                    cache.with(
                        0,
                        e,
                        10,
                        () -> weights(e),
                        (in, out) -> {
                          try (Scope scope = Scope.open()) {
                            assertThat(in.item()).isEqualTo(e);
                            assertThat(out.item()).isEqualTo(-e);
                          }
                        });
                  }
                }));
      }
      for (Future<?> one : all) {
        one.get(60, TimeUnit.SECONDS);
      }
      ExpertCache.Stats stats = cache.stats();
      assertThat(stats.mostBytesHeld()).isLessThanOrEqualTo(Math.max(limit, 10));
      assertThat(stats.hits() + stats.loads()).isEqualTo(4L * calls);
      assertThat(stats.bytesLoaded()).isEqualTo(10 * stats.loads());
      if (limit == 1000) {
        assertThat(stats.loads()).isEqualTo(12);
      }
    }
  }

  @Test
  void whoComesWhileAnExpertIsReadWaitsForIt() throws Exception {
    CountDownLatch reading = new CountDownLatch(1);
    CountDownLatch read = new CountDownLatch(1);
    try (ExpertCache cache = new ExpertCache(10);
        var pool = Executors.newFixedThreadPool(2)) {
      Future<?> first =
          pool.submit(
              () ->
                  cache.with(
                      0,
                      1,
                      10,
                      () -> {
                        reading.countDown();
                        awaited(read);
                        return weights(1);
                      },
                      NOTHING));
      reading.await();
      Future<?> second =
          pool.submit(
              () ->
                  cache.with(
                      0,
                      1,
                      10,
                      () -> {
                        throw new AssertionError("read twice");
                      },
                      NOTHING));
      read.countDown();
      first.get(60, TimeUnit.SECONDS);
      second.get(60, TimeUnit.SECONDS);
      assertThat(cache.stats()).isEqualTo(new ExpertCache.Stats(1, 1, 10, 10, 10));
    }
  }

  private static void awaited(CountDownLatch latch) {
    try {
      latch.await();
    } catch (InterruptedException e) {
      throw new IllegalStateException(e);
    }
  }

  @Test
  void afterAFailureItCanBeReadAgain() {
    try (ExpertCache cache = new ExpertCache(10)) {
      assertThatThrownBy(
              () ->
                  cache.with(
                      0,
                      1,
                      10,
                      () -> {
                        throw new MoeException("gone");
                      },
                      NOTHING))
          .hasMessage("gone");
      assertThat(cache.stats()).isEqualTo(new ExpertCache.Stats(0, 0, 0, 0, 10));
      assertThatThrownBy(
              () ->
                  cache.with(
                      0,
                      1,
                      10,
                      () -> weights(1),
                      (in, out) -> {
                        throw new MoeException("no use");
                      }))
          .hasMessage("no use");
      // It was read and is free: another takes its place.
      cache.with(0, 2, 10, () -> weights(2), NOTHING);
      assertThat(cache.stats()).isEqualTo(new ExpertCache.Stats(0, 2, 20, 10, 10));
    }
  }
}

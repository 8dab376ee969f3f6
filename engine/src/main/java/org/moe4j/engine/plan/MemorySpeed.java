package org.moe4j.engine.plan;

import java.util.Arrays;
import org.moe4j.engine.kernel.Workers;

/** How fast memory is read. */
final class MemorySpeed {
  /** More than caches hold of it, of all threads together. */
  private static final int NUMBERS = 1 << 24;

  /** Numbers that are timed together. */
  private static final int SPAN = 1 << 18;

  private static final int MOST = 10_000;
  private static final long NANOS = 200_000_000;

  private MemorySpeed() {}

  /**
   * Bytes a second that {@code threads} threads read together; takes about 0.3 seconds. Of each
   * thread the median of short spans counts, so that little else that runs meanwhile does not.
   */
  static double measure(int threads) {
    int spans = NUMBERS / SPAN / threads;
    double[] rates = new double[threads];
    long[] sums = new long[threads];
    try (Workers workers = new Workers(threads)) {
      workers.run(
          threads,
          (i, worker) -> {
            long[] memory = new long[spans * SPAN];
            Arrays.setAll(memory, n -> n);
            double[] nanos = new double[MOST];
            int count = 0;
            long end = System.nanoTime() + NANOS;
            for (long now = System.nanoTime(); now < end && count < MOST; count++) {
              sums[i] += sum(memory, count % spans * SPAN);
              long then = System.nanoTime();
              nanos[count] = then - now;
              now = then;
            }
            Arrays.sort(nanos, 0, count);
            rates[i] = 8e9 * SPAN / Math.max(1, nanos[count / 2]);
          });
    }
    // The sums are of use to keep the reads from being left out.
    return Arrays.stream(sums).allMatch(s -> s == 0) ? 0 : Arrays.stream(rates).sum();
  }

  private static long sum(long[] memory, int from) {
    long sum = 0;
    for (int i = from; i < from + SPAN; i++) {
      sum += memory[i];
    }
    return sum;
  }
}

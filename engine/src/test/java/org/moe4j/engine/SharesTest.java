package org.moe4j.engine;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.moe4j.engine.Shares.Wish;

class SharesTest {
  private static final BatchOptions OPTIONS = new BatchOptions(16, 100, 30);

  @Test
  void onePromptAloneGetsTheWholeStep() {
    assertThat(Shares.of(List.of(new Wish(true, 1000, 0)), OPTIONS)).containsExactly(100);
    assertThat(Shares.of(List.of(new Wish(true, 7, 0)), OPTIONS)).containsExactly(7);
  }

  @Test
  void promptsShareWhatWritersLeaveAndShortOnesLeaveTheirRest() {
    List<Wish> wishes =
        List.of(
            new Wish(true, 1000, 0),
            new Wish(false, 1, 4),
            new Wish(true, 4, 0),
            new Wish(true, 1000, 0));
    assertThat(Shares.of(wishes, OPTIONS)).containsExactly(13, 1, 4, 13);
  }

  /** With random texts: the limits hold, a step is never wasted, and nobody waits forever. */
  @Test
  void everyTextIsServedWithinTheLimits() {
    Random random = new Random(3);
    for (int round = 0; round < 200; round++) {
      BatchOptions options = new BatchOptions(40, random.nextInt(2, 12), 1);
      int n = random.nextInt(1, 40);
      int[] left = random.ints(n, 1, 30).toArray();
      boolean[] reading = new boolean[n];
      long[] served = new long[n];
      for (int i = 0; i < n; i++) {
        reading[i] = random.nextBoolean();
        left[i] = reading[i] ? left[i] : 1;
      }
      for (int step = 1; step <= 60 * n; step++) {
        List<Wish> wishes = new ArrayList<>();
        for (int i = 0; i < n; i++) {
          wishes.add(new Wish(reading[i], left[i], served[i]));
        }
        int[] shares = Shares.of(wishes, options);
        assertThat(Arrays.stream(shares).sum()).isBetween(1, options.stepTokens());
        for (int i = 0; i < n; i++) {
          assertThat(shares[i]).isBetween(0, left[i]);
          served[i] = shares[i] > 0 ? step : served[i];
          left[i] -= shares[i];
          if (left[i] == 0) {
            reading[i] = random.nextBoolean();
            left[i] = reading[i] ? random.nextInt(1, 30) : 1;
          }
        }
      }
      assertThat(served).as("one that is never served").doesNotContain(0);
    }
  }
}

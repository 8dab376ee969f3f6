package org.moe4j.engine.offload;

import java.util.Arrays;

/**
 * How far guesses deserve to be read, learnt from what is asked for afterwards whether they were
 * read or not. Of the experts that a guess names and that are not in memory, the likelier ones come
 * first; each place has a record of its own. Reading a wrong one costs about what a right one
 * saves, so that a place is trusted while more than half of its guesses come true.
 */
final class Trust {
  private static final double LEAST = 0.5;
  private static final double RATE = 1 / 32.0;

  private final double[] rates;
  private int[] told = {};

  /** Of guesses of up to {@code most} experts; trusted until they prove wrong. */
  Trust(int most) {
    rates = new double[most];
    Arrays.fill(rates, 1);
  }

  /**
   * Takes down a guess.
   *
   * @param experts that are not in memory, the likeliest first
   * @return how many of them to read
   */
  int told(int[] experts) {
    told = Arrays.copyOf(experts, Math.min(experts.length, rates.length));
    int trusted = 0;
    while (trusted < told.length && rates[trusted] >= LEAST) {
      trusted++;
    }
    return trusted;
  }

  /**
   * Compares the last guess with what was asked for, and forgets it.
   *
   * @param asked in ascending order
   * @return how many were right
   */
  int asked(int[] asked) {
    int right = 0;
    for (int i = 0; i < told.length; i++) {
      int came = Arrays.binarySearch(asked, told[i]) >= 0 ? 1 : 0;
      rates[i] += (came - rates[i]) * RATE;
      right += came;
    }
    told = new int[0];
    return right;
  }
}

package org.moe4j.train.route;

import java.util.Arrays;
import java.util.SplittableRandom;

/** Small batches and traces, by hand and at random. */
final class Traces {
  private Traces() {}

  /** One sequence of counted tokens of domain 0. */
  static TokenBatch line(long... ids) {
    return batch(1, ids.length, ids, 0);
  }

  /** All tokens counted; the domains of the sequences follow. */
  static TokenBatch batch(int sequences, int length, long[] ids, int... domains) {
    boolean[] counted = new boolean[ids.length];
    Arrays.fill(counted, true);
    long[] numbers = new long[sequences];
    Arrays.setAll(numbers, i -> i);
    return new TokenBatch(sequences, length, ids, domains, numbers, counted);
  }

  /** Weights fall by rank; nothing is dropped and there are no probabilities. */
  static RoutingTrace.Chosen chosen(int experts, int k, int... choices) {
    float[] weights = new float[choices.length];
    boolean[] served = new boolean[choices.length];
    for (int i = 0; i < choices.length; i++) {
      weights[i] = choices[i] < 0 ? 0 : 1f / (1 + i % k);
      served[i] = choices[i] >= 0;
    }
    return new RoutingTrace.Chosen(0, experts, 1, k, choices, weights, served, new float[0]);
  }

  /** {@code tokens} times k different experts, evenly and independently. */
  static int[] even(SplittableRandom random, int tokens, int experts, int k) {
    int[] choices = new int[tokens * k];
    for (int t = 0; t < tokens; t++) {
      int[] order = new int[experts];
      Arrays.setAll(order, i -> i);
      for (int i = 0; i < k; i++) {
        int j = i + random.nextInt(experts - i);
        int swapped = order[i];
        order[i] = order[j];
        order[j] = swapped;
        choices[t * k + i] = order[i];
      }
    }
    return choices;
  }
}

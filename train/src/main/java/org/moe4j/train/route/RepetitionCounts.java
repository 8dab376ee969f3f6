package org.moe4j.train.route;

import org.jspecify.annotations.Nullable;

/**
 * The counts behind one {@link Repetition}. Chance is that of two different tokens of the same
 * counts, exactly: with M(e) tokens that have expert e and Q(i,j) that have the pair {i,j} as their
 * first two, two of N tokens share one with probability (sum M(M-1) - sum Q(Q-1)) / N(N-1), since
 * those that share the pair share two.
 */
final class RepetitionCounts {
  private final long[] firsts;
  private final long[] amongTwo;
  private final long[] amongAll;
  private final @Nullable PairCounts firstTwo;
  private final boolean two;
  private long tokens;
  private long allChoices;
  private long pairs;
  private long sameFirst;
  private long shareOne;
  private double overlap;

  /**
   * Nothing yet.
   *
   * @param k choices of a token
   * @param countPairs whether pairs of experts are counted, which takes E^2 / 2 numbers
   */
  RepetitionCounts(int experts, int k, boolean countPairs) {
    firsts = new long[experts];
    amongTwo = new long[experts];
    amongAll = new long[experts];
    two = k > 1;
    firstTwo = two && countPairs ? new PairCounts(experts) : null;
  }

  /** Counts row {@code row} as a token by itself. */
  void token(RoutingTrace.Chosen trace, int row) {
    int first = trace.choice(row, 0);
    if (first < 0) {
      return;
    }
    tokens++;
    firsts[first]++;
    for (int i = 0; i < trace.k(); i++) {
      int expert = trace.choice(row, i);
      if (expert >= 0) {
        amongAll[expert]++;
        allChoices++;
        if (i < 2) {
          amongTwo[expert]++;
        }
      }
    }
    if (firstTwo != null && trace.choice(row, 1) >= 0) {
      firstTwo.add(first, trace.choice(row, 1));
    }
  }

  /** Compares row {@code row} with {@code before}, that of the token before it. */
  void neighbours(RoutingTrace.Chosen trace, int before, int row) {
    if (trace.choice(before, 0) < 0 || trace.choice(row, 0) < 0) {
      return;
    }
    pairs++;
    sameFirst += trace.choice(before, 0) == trace.choice(row, 0) ? 1 : 0;
    shareOne += common(trace, before, row, Math.min(2, trace.k())) > 0 ? 1 : 0;
    int chosen = 0;
    while (chosen < trace.k() && trace.choice(row, chosen) >= 0) {
      chosen++;
    }
    overlap += (double) common(trace, before, row, trace.k()) / chosen;
  }

  private static int common(RoutingTrace.Chosen trace, int a, int b, int ranks) {
    int common = 0;
    for (int i = 0; i < ranks; i++) {
      int expert = trace.choice(a, i);
      for (int j = 0; j < ranks && expert >= 0; j++) {
        common += trace.choice(b, j) == expert ? 1 : 0;
      }
    }
    return common;
  }

  Repetition result() {
    double others = (double) tokens * (tokens - 1);
    double oneOfTwo = Double.NaN;
    if (firstTwo != null) {
      double both = 0;
      for (int q : firstTwo.triangle()) {
        both += (double) q * (q - 1);
      }
      oneOfTwo = (ordered(amongTwo) - both) / others;
    }
    return new Repetition(
        pairs,
        (double) sameFirst / pairs,
        ordered(firsts) / others,
        two ? (double) shareOne / pairs : Double.NaN,
        oneOfTwo,
        overlap / pairs,
        ordered(amongAll) / ((double) allChoices * (tokens - 1)));
  }

  /** How many ordered pairs of different tokens have an expert in common, summed over experts. */
  private static double ordered(long[] counts) {
    double sum = 0;
    for (long count : counts) {
      sum += (double) count * (count - 1);
    }
    return sum;
  }
}

package org.moe4j.train.route;

import java.util.Comparator;
import java.util.List;
import java.util.stream.IntStream;

/**
 * Which experts a layer's tokens choose together. The number of times that is expected of a pair is
 * that of experts which keep their loads but do not care for each other: a(i) a(j) for i != j, with
 * a such that every expert is in as many pairs as it was (quasi-independence; Goodman, "The
 * Analysis of Cross-Classified Data", 1968). The product of the loads alone would expect more pairs
 * than there are, for no expert is paired with itself.
 *
 * @param experts E
 * @param counts tokens that chose both, by the triangle (1,0), (2,0), (2,1), ...
 * @param expected the same by chance
 */
public record Coactivation(int experts, int[] counts, double[] expected) {
  private static final int ROUNDS = 500;
  private static final double PRECISION = 1e-9;
  private static final double FEWEST_EXPECTED = 5;

  /**
   * A pair that is chosen together more or less often than by chance.
   *
   * @param ratio {@code count / expected}
   */
  public record Pair(int a, int b, int count, double expected, double ratio) {}

  static Coactivation of(PairCounts pairs) {
    int n = pairs.size();
    double[] sums = new double[n];
    double total = 0;
    for (int i = 0; i < n; i++) {
      for (int j = 0; j < i; j++) {
        sums[i] += pairs.get(i, j);
        sums[j] += pairs.get(i, j);
        total += pairs.get(i, j);
      }
    }
    double[] a = new double[n];
    for (int i = 0; i < n; i++) {
      a[i] = total > 0 ? sums[i] / Math.sqrt(2 * total) : 0;
    }
    fit(a, sums);
    double[] expected = new double[pairs.triangle().length];
    for (int i = 0; i < n; i++) {
      for (int j = 0; j < i; j++) {
        expected[PairCounts.at(i, j)] = a[i] * a[j];
      }
    }
    return new Coactivation(n, pairs.triangle().clone(), expected);
  }

  /** Iterates to {@code a[i] * (sum of the other a) = sums[i]}; the root damps the swings. */
  private static void fit(double[] a, double[] sums) {
    double change = 1;
    for (int round = 0; round < ROUNDS && change > PRECISION; round++) {
      change = 0;
      double all = 0;
      for (double each : a) {
        all += each;
      }
      for (int i = 0; i < a.length; i++) {
        double others = all - a[i];
        if (sums[i] > 0 && others > 0) {
          double next = Math.sqrt(a[i] * sums[i] / others);
          change = Math.max(change, Math.abs(next / a[i] - 1));
          all += next - a[i];
          a[i] = next;
        }
      }
    }
  }

  /**
   * The pairs that are furthest above chance, the highest ratio first; of those that are expected
   * at least {@value #FEWEST_EXPECTED} times.
   */
  public List<Pair> strongest(int limit) {
    return IntStream.range(1, experts)
        .boxed()
        .flatMap(i -> IntStream.range(0, i).mapToObj(j -> pair(j, i)))
        .filter(pair -> pair.expected() >= FEWEST_EXPECTED)
        .sorted(Comparator.comparingDouble(Pair::ratio).reversed())
        .limit(limit)
        .toList();
  }

  private Pair pair(int a, int b) {
    int at = PairCounts.at(a, b);
    return new Pair(a, b, counts[at], expected[at], counts[at] / expected[at]);
  }
}

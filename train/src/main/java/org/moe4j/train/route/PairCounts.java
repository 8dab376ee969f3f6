package org.moe4j.train.route;

/** How often two of n things were seen together: the triangle below the diagonal. */
final class PairCounts {
  private final int n;
  private final int[] counts;

  PairCounts(int n) {
    this.n = n;
    this.counts = new int[n * (n - 1) / 2];
  }

  void add(int a, int b) {
    counts[at(a, b)]++;
  }

  int get(int a, int b) {
    return counts[at(a, b)];
  }

  /** n. */
  int size() {
    return n;
  }

  /** Row by row: (1,0), (2,0), (2,1), (3,0), ... */
  int[] triangle() {
    return counts;
  }

  /** Where the pair of {@code a} and {@code b}, which differ, stands in a triangle. */
  static int at(int a, int b) {
    int high = Math.max(a, b);
    return high * (high - 1) / 2 + Math.min(a, b);
  }
}

package org.moe4j;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.Arrays;
import java.util.SplittableRandom;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

/** The tables of hash layers (S13). */
class HashTablesTest {
  private static int[] loads(long[] table, int buckets) {
    int[] loads = new int[buckets];
    Arrays.stream(table).forEach(k -> loads[(int) k]++);
    return loads;
  }

  private static int spread(int[] loads) {
    return Arrays.stream(loads).max().orElse(0) - Arrays.stream(loads).min().orElse(0);
  }

  @Test
  void randomBucketsPassAChiSquareTest() {
    for (int seed = 0; seed < 5; seed++) {
      int[] loads = loads(HashTables.random(50_000, 64, seed), 64);
      double mean = 50_000 / 64.0;
      double chi = Arrays.stream(loads).mapToDouble(n -> (n - mean) * (n - mean) / mean).sum();
      // The 0.1 % and 99.9 % points at 63 degrees of freedom.
      assertThat(chi).isBetween(33.9, 103.5);
    }
    assertThat(HashTables.random(100, 8, 1)).isNotEqualTo(HashTables.random(100, 8, 2));
  }

  /** Pinned: checkpoints of n-gram hashes rely on the function. */
  @Test
  void theHashFunctionNeverChanges() {
    // The first number of SplitMix64 from the state 0, as its authors' code gives it.
    assertThat(HashTables.mix(0)).isEqualTo(0xE220A8397B1DCDAFL);
    assertThat(IntStream.range(0, 8).map(i -> HashTables.bucket(16, 42, i, i + 1)).toArray())
        .containsExactly(14, 5, 13, 13, 0, 1, 7, 7);
  }

  @Test
  void balancedLoadsAreAsEvenAsTheMostFrequentWordAllows() {
    SplittableRandom random = new SplittableRandom(4);
    for (int trial = 0; trial < 20; trial++) {
      long[] counts = new long[300];
      Arrays.setAll(counts, v -> 1 + 100_000 / (1 + random.nextInt(300)));
      long[] table = HashTables.balanced(counts, 8);
      long[] load = new long[8];
      long[] least = new long[8];
      Arrays.fill(least, Long.MAX_VALUE);
      for (int v = 0; v < 300; v++) {
        int k = (int) table[v];
        load[k] += counts[v];
        // The word placed last in a bucket is its rarest.
        least[k] = Math.min(least[k], counts[v]);
      }
      double mean = Arrays.stream(load).sum() / 8.0;
      long top = Arrays.stream(counts).max().orElseThrow();
      for (int k = 0; k < 8; k++) {
        assertThat((double) load[k])
            .isLessThanOrEqualTo(Math.max((double) top, mean + (double) least[k]));
      }
      assertThat(HashTables.balanced(counts, 8)).isEqualTo(table);
    }
  }

  @Test
  void balancedTiesGoToTheLowestBucketAndUnseenWordsRound() {
    assertThat(HashTables.balanced(new long[] {5, 5, 9, 1, 5}, 3)).containsExactly(1, 2, 0, 2, 1);
    assertThat(HashTables.balanced(new long[] {0, 3, 0, 0, 0}, 2)).containsExactly(0, 0, 1, 0, 1);
    long[] even = new long[10_000];
    Arrays.fill(even, 3);
    assertThat(spread(loads(HashTables.balanced(even, 16), 16))).isLessThanOrEqualTo(1);
  }

  @Test
  void dispersedSpreadsEveryClusterEvenly() {
    SplittableRandom random = new SplittableRandom(4);
    long[] clusters = random.longs(501, 0, 6).toArray();
    long[] counts = random.longs(501, 0, 1000).toArray();
    long[] table = HashTables.dispersed(clusters, counts, 8);
    for (int c = 0; c < 6; c++) {
      int cluster = c;
      long[] of =
          IntStream.range(0, 501)
              .filter(v -> clusters[v] == cluster)
              .mapToLong(v -> table[v])
              .toArray();
      assertThat(spread(loads(of, 8))).isLessThanOrEqualTo(1);
    }
    assertThat(spread(loads(table, 8))).isLessThanOrEqualTo(1);
    HashRouterTest.refused(() -> HashTables.random(5, 0, 1), "0 buckets");
    HashRouterTest.refused(() -> HashTables.balanced(new long[0], 2), "0 words");
    HashRouterTest.refused(() -> HashTables.dispersed(new long[3], new long[2], 2), "3", "2");
  }
}

package org.moe4j;

import java.util.Arrays;
import java.util.Comparator;
import java.util.PriorityQueue;
import java.util.stream.IntStream;
import org.moe4j.tensor.MoeException;

/**
 * Tables from vocabulary ids to experts, as hash layers use them (S13, "Hash Layers For Large
 * Sparse Models", section 3.1): entry v is the bucket 0 .. K-1 of word v. All are functions of
 * their arguments alone, on every machine.
 */
public final class HashTables {
  private HashTables() {}

  /** Every word in a bucket of its own chance. */
  public static long[] random(int vocab, int buckets, long seed) {
    atLeastOne(vocab, buckets);
    long[] table = new long[vocab];
    for (int v = 0; v < vocab; v++) {
      table[v] = bucket(buckets, seed, v);
    }
    return table;
  }

  /**
   * Buckets of nearly the same number of occurrences: words in the order of falling frequency, each
   * to the bucket that holds least so far, the first among equals. Words that never occur are dealt
   * round.
   *
   * @param counts occurrences of every word in the training text
   */
  public static long[] balanced(long[] counts, int buckets) {
    atLeastOne(counts.length, buckets);
    record Bucket(long load, int index) {}
    PriorityQueue<Bucket> least =
        new PriorityQueue<>(
            buckets, Comparator.comparingLong(Bucket::load).thenComparingInt(Bucket::index));
    IntStream.range(0, buckets).forEach(k -> least.add(new Bucket(0, k)));
    long[] table = new long[counts.length];
    int unseen = 0;
    for (int v : byFrequency(IntStream.range(0, counts.length), counts)) {
      if (counts[v] <= 0) {
        table[v] = unseen++ % buckets;
        continue;
      }
      Bucket b = least.remove();
      table[v] = b.index;
      least.add(new Bucket(b.load + counts[v], b.index));
    }
    return table;
  }

  /**
   * Similar words in different buckets: the words of each cluster, in the order of falling
   * frequency, are dealt round the buckets, one cluster after the other.
   *
   * @param clusters the cluster of every word
   * @param counts occurrences of every word
   */
  public static long[] dispersed(long[] clusters, long[] counts, int buckets) {
    atLeastOne(clusters.length, buckets);
    if (counts.length != clusters.length) {
      throw new MoeException(
          clusters.length + " words have a cluster and " + counts.length + " a frequency");
    }
    long[] table = new long[clusters.length];
    long last = Arrays.stream(clusters).max().orElse(0);
    int next = 0;
    for (long c = 0; c <= last; c++) {
      long cluster = c;
      IntStream words = IntStream.range(0, clusters.length).filter(v -> clusters[v] == cluster);
      for (int v : byFrequency(words, counts)) {
        table[v] = next;
        next = (next + 1) % buckets;
      }
    }
    return table;
  }

  /** The more frequent word first, the lower id among equals. */
  private static int[] byFrequency(IntStream words, long[] counts) {
    return words
        .boxed()
        .sorted(Comparator.<Integer>comparingLong(v -> -counts[v]).thenComparingInt(v -> v))
        .mapToInt(v -> v)
        .toArray();
  }

  /**
   * The bucket of a row of numbers, for instance of a pair of words. Checkpoints rely on it, so it
   * never changes: {@code h = mix(seed)}, then {@code h = mix(h + n)} for each number, where mix is
   * SplitMix64's (Steele, Lea and Flood, OOPSLA 2014: one step of the sequence from that state);
   * the bucket is the unsigned remainder of h by the number of buckets.
   */
  static int bucket(int buckets, long seed, long... numbers) {
    long h = mix(seed);
    for (long n : numbers) {
      h = mix(h + n);
    }
    return (int) Long.remainderUnsigned(h, buckets);
  }

  static long mix(long state) {
    long z = state + 0x9E3779B97F4A7C15L;
    z = (z ^ (z >>> 30)) * 0xBF58476D1CE4E5B9L;
    z = (z ^ (z >>> 27)) * 0x94D049BB133111EBL;
    return z ^ (z >>> 31);
  }

  private static void atLeastOne(int vocab, int buckets) {
    if (vocab < 1 || buckets < 1) {
      throw new MoeException(
          "a table of " + vocab + " words and " + buckets + " buckets; give at least 1 of each");
    }
  }
}

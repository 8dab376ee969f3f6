package org.moe4j.engine.text;

import java.util.Arrays;

/**
 * Joins neighbouring symbols to longer ones until no two can be joined: always the pair of the
 * least rank, of equals the leftmost (Sennrich et al., 2016). Takes O(n log n) for n symbols.
 */
final class Merging {
  /** No symbol comes of a pair. */
  static final long NONE = Long.MAX_VALUE;

  private static final long UNKNOWN = Long.MIN_VALUE;

  /** Which pairs can be joined. */
  interface Pairs {
    /** The pair's rank in the upper and what comes of it in the lower 32 bits, or NONE. */
    long join(int left, int right);
  }

  private final Pairs pairs;
  private final LongHeap queue = new LongHeap();
  private int[] next = {};
  private int[] previous = {};
  private long[] joined = {};

  // What was asked before: a text has few different pairs, and looking one up takes long.
  private long[] keys = new long[1 << 10];
  private long[] answers = new long[1 << 10];
  private int known;

  Merging(Pairs pairs) {
    this.pairs = pairs;
    Arrays.fill(answers, UNKNOWN);
  }

  /** Joins the first {@code count} of {@code symbols} in place; returns how many are left. */
  int run(int[] symbols, int count) {
    if (count < 2) {
      return count;
    }
    if (next.length < count) {
      next = new int[Math.max(count, 2 * next.length)];
      previous = new int[next.length];
      joined = new long[next.length];
    }
    for (int i = 0; i < count; i++) {
      next[i] = i + 1;
      previous[i] = i - 1;
    }
    for (int i = 0; i < count; i++) {
      offer(symbols, i, count);
    }
    while (!queue.isEmpty()) {
      long first = queue.pop();
      int left = (int) first;
      if (joined[left] == NONE || joined[left] >> 32 != first >> 32) {
        continue; // one of the two has been joined with another
      }
      int right = next[left];
      symbols[left] = (int) joined[left];
      next[left] = next[right];
      joined[right] = NONE;
      if (next[left] < count) {
        previous[next[left]] = left;
      }
      offer(symbols, left, count);
      if (previous[left] >= 0) {
        offer(symbols, previous[left], count);
      }
    }
    int kept = 0;
    for (int i = 0; i < count; i = next[i]) {
      symbols[kept++] = symbols[i];
    }
    return kept;
  }

  private void offer(int[] symbols, int left, int count) {
    joined[left] = next[left] < count ? join(symbols[left], symbols[next[left]]) : NONE;
    if (joined[left] != NONE) {
      queue.push((joined[left] >> 32 << 32) | left);
    }
  }

  private long join(int left, int right) {
    long key = ((long) left << 32) | (right & 0xffffffffL);
    int at = slot(key);
    if (answers[at] == UNKNOWN) {
      keys[at] = key;
      answers[at] = pairs.join(left, right);
      if (++known > keys.length / 2) {
        grow();
        at = slot(key);
      }
    }
    return answers[at];
  }

  private int slot(long key) {
    long hash = key * 0x9e3779b97f4a7c15L;
    int at = (int) (hash >>> 32) & (keys.length - 1);
    while (answers[at] != UNKNOWN && keys[at] != key) {
      at = (at + 1) & (keys.length - 1);
    }
    return at;
  }

  private void grow() {
    long[] oldKeys = keys;
    long[] oldAnswers = answers;
    keys = new long[2 * oldKeys.length];
    answers = new long[keys.length];
    Arrays.fill(answers, UNKNOWN);
    for (int i = 0; i < oldKeys.length; i++) {
      if (oldAnswers[i] != UNKNOWN) {
        int at = slot(oldKeys[i]);
        keys[at] = oldKeys[i];
        answers[at] = oldAnswers[i];
      }
    }
  }
}

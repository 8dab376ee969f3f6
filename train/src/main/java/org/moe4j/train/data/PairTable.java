package org.moe4j.train.data;

import java.util.Arrays;

/** A hash table from pairs of token ids to longs, without boxing. */
final class PairTable {
  static final long ABSENT = Long.MIN_VALUE;
  private static final long EMPTY = -1;

  private long[] keys;
  private long[] values;
  private int size;

  PairTable(int expected) {
    int capacity = Math.max(16, Integer.highestOneBit(Math.max(expected, 1)) * 4);
    keys = new long[capacity];
    values = new long[capacity];
    Arrays.fill(keys, EMPTY);
  }

  static long pair(int left, int right) {
    return (long) left << 32 | right;
  }

  static int left(long pair) {
    return (int) (pair >>> 32);
  }

  static int right(long pair) {
    return (int) pair;
  }

  /** The value of {@code pair}, or {@link #ABSENT}. */
  long find(long pair) {
    int slot = slot(pair);
    return keys[slot] == pair ? values[slot] : ABSENT;
  }

  void put(long pair, long value) {
    int slot = slot(pair);
    if (keys[slot] == EMPTY) {
      if (2 * ++size > keys.length) {
        grow();
        slot = slot(pair);
      }
      keys[slot] = pair;
    }
    values[slot] = value;
  }

  private int slot(long pair) {
    int mask = keys.length - 1;
    int slot = (int) (SplitMix64.mix(pair) & mask);
    while (keys[slot] != pair && keys[slot] != EMPTY) {
      slot = (slot + 1) & mask;
    }
    return slot;
  }

  private void grow() {
    long[] oldKeys = keys;
    long[] oldValues = values;
    keys = new long[2 * oldKeys.length];
    values = new long[keys.length];
    Arrays.fill(keys, EMPTY);
    for (int i = 0; i < oldKeys.length; i++) {
      if (oldKeys[i] != EMPTY) {
        int slot = slot(oldKeys[i]);
        keys[slot] = oldKeys[i];
        values[slot] = oldValues[i];
      }
    }
  }
}

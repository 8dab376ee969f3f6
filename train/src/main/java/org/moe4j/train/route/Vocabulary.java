package org.moe4j.train.route;

import java.util.Arrays;
import java.util.Comparator;
import java.util.stream.IntStream;

/** The most frequent tokens of a text, numbered from 0: what can be counted one by one. */
final class Vocabulary {
  private final int[] ids;
  private final int[] slots;

  /**
   * At most {@code limit} tokens, the most frequent first.
   *
   * @param counts how often each token of the vocabulary occurs [V]
   */
  Vocabulary(long[] counts, int limit) {
    ids =
        IntStream.range(0, counts.length)
            .filter(id -> counts[id] > 0)
            .boxed()
            .sorted(Comparator.comparingLong((Integer id) -> counts[id]).reversed())
            .limit(limit)
            .mapToInt(i -> i)
            .toArray();
    slots = new int[counts.length];
    Arrays.fill(slots, -1);
    for (int slot = 0; slot < ids.length; slot++) {
      slots[ids[slot]] = slot;
    }
  }

  int size() {
    return ids.length;
  }

  /** The number of a token, or -1 if it is not among them. */
  int slot(long id) {
    return slots[(int) id];
  }

  /** The token of number {@code slot}. */
  int id(int slot) {
    return ids[slot];
  }
}

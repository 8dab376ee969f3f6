package org.moe4j.engine.text;

import java.util.Arrays;

/** A growing list of token ids. */
final class Ids {
  private int[] ids = new int[16];
  private int count;

  void add(int id) {
    if (count == ids.length) {
      ids = Arrays.copyOf(ids, 2 * count);
    }
    ids[count++] = id;
  }

  int size() {
    return count;
  }

  int[] toArray() {
    return Arrays.copyOf(ids, count);
  }
}

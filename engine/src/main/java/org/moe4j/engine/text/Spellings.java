package org.moe4j.engine.text;

/**
 * Which of many strings a given one is: an open-addressed table of their indices, which takes a
 * fraction of the time and memory of a map of boxed numbers.
 */
final class Spellings {
  private final String[] all;
  private final int[] slots;

  /** Of equal strings the last one counts. */
  Spellings(String[] all) {
    this.all = all;
    this.slots = new int[Integer.highestOneBit(Math.max(8, all.length)) * 4];
    for (int i = 0; i < all.length; i++) {
      slots[slot(all[i])] = i + 1;
    }
  }

  String get(int index) {
    return all[index];
  }

  int size() {
    return all.length;
  }

  /** The index of {@code text}; -1 if it is none of them. */
  int index(String text) {
    return slots[slot(text)] - 1;
  }

  private int slot(String text) {
    int hash = text.hashCode() * 0x9e3779b9;
    int at = (hash ^ (hash >>> 16)) & (slots.length - 1);
    while (slots[at] != 0 && !all[slots[at] - 1].equals(text)) {
      at = (at + 1) & (slots.length - 1);
    }
    return at;
  }
}

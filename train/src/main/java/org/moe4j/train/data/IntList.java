package org.moe4j.train.data;

import java.util.Arrays;

/** A growing list of ints. */
final class IntList {
  private int[] values;
  private int size;

  IntList(int capacity) {
    values = new int[Math.max(capacity, 4)];
  }

  void add(int value) {
    if (size == values.length) {
      values = Arrays.copyOf(values, grown(size));
    }
    values[size++] = value;
  }

  void addAll(int[] more) {
    if (size + more.length > values.length) {
      values = Arrays.copyOf(values, Math.max(size + more.length, grown(size)));
    }
    System.arraycopy(more, 0, values, size, more.length);
    size += more.length;
  }

  int at(int index) {
    return values[index];
  }

  int size() {
    return size;
  }

  /** Half as many again, as far as an array can go. */
  static int grown(int size) {
    return (int) Math.min(Integer.MAX_VALUE - 8, size + (size >> 1) + 1L);
  }

  int[] toArray() {
    return Arrays.copyOf(values, size);
  }
}

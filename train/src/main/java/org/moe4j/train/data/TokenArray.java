package org.moe4j.train.data;

import java.util.Arrays;

/** Token ids in an array that grows: two bytes each when the vocabulary has at most 65,536. */
sealed interface TokenArray {
  /** An empty array for ids below {@code vocabSize}. */
  static TokenArray of(int vocabSize, int capacity) {
    return vocabSize <= 1 << 16 ? new Narrow(capacity) : new Wide(capacity);
  }

  int size();

  int at(int index);

  void add(int id);

  /** Appends the ids [from, to) of {@code source}. */
  void addAll(TokenArray source, int from, int to);

  /** Ids below 65,536. */
  final class Narrow implements TokenArray {
    private char[] ids;
    private int size;

    private Narrow(int capacity) {
      ids = new char[Math.max(capacity, 16)];
    }

    @Override
    public int size() {
      return size;
    }

    @Override
    public int at(int index) {
      return ids[index];
    }

    @Override
    public void add(int id) {
      if (size == ids.length) {
        ids = Arrays.copyOf(ids, IntList.grown(size));
      }
      ids[size++] = (char) id;
    }

    @Override
    public void addAll(TokenArray source, int from, int to) {
      for (int i = from; i < to; i++) {
        add(source.at(i));
      }
    }
  }

  /** Any ids. */
  final class Wide implements TokenArray {
    private final IntList ids;

    private Wide(int capacity) {
      ids = new IntList(capacity);
    }

    @Override
    public int size() {
      return ids.size();
    }

    @Override
    public int at(int index) {
      return ids.at(index);
    }

    @Override
    public void add(int id) {
      ids.add(id);
    }

    @Override
    public void addAll(TokenArray source, int from, int to) {
      for (int i = from; i < to; i++) {
        add(source.at(i));
      }
    }
  }
}

package org.moe4j.train.data;

import java.util.List;

/**
 * Merges the bytes of one pre-token: always the pair of lowest rank, the leftmost first. A heap
 * keeps this at n log n, also for a megabyte without white space.
 */
final class BpeEncoder {
  private static final int GONE = -1;

  private final int[] idOfByte;

  /** Rank in the upper half, merged id in the lower. */
  private final PairTable merges;

  BpeEncoder(int[] idOfByte, List<Merge> merges) {
    this.idOfByte = idOfByte;
    this.merges = new PairTable(merges.size());
    for (int rank = 0; rank < merges.size(); rank++) {
      Merge merge = merges.get(rank);
      this.merges.put(
          PairTable.pair(merge.left(), merge.right()), PairTable.pair(rank, merge.merged()));
    }
  }

  int[] encode(byte[] piece) {
    int n = piece.length;
    int[] symbols = new int[n];
    int[] previous = new int[n];
    int[] next = new int[n];
    for (int i = 0; i < n; i++) {
      symbols[i] = idOfByte[piece[i] & 0xFF];
      previous[i] = i - 1;
      next[i] = i + 1;
    }
    LongHeap heap = new LongHeap(n);
    for (int i = 0; i + 1 < n; i++) {
      offer(heap, symbols, i, i + 1);
    }
    while (!heap.isEmpty()) {
      long candidate = heap.poll();
      int at = (int) candidate;
      if (symbols[at] == GONE || next[at] == n) {
        continue;
      }
      int right = next[at];
      long merge = merges.find(PairTable.pair(symbols[at], symbols[right]));
      if (merge == PairTable.ABSENT || merge >>> 32 != candidate >>> 32) {
        continue;
      }
      symbols[at] = (int) merge;
      symbols[right] = GONE;
      next[at] = next[right];
      if (next[at] < n) {
        previous[next[at]] = at;
        offer(heap, symbols, at, next[at]);
      }
      if (previous[at] >= 0) {
        offer(heap, symbols, previous[at], at);
      }
    }
    int size = 0;
    for (int i = 0; i < n; i = next[i]) {
      symbols[size++] = symbols[i];
    }
    return java.util.Arrays.copyOf(symbols, size);
  }

  private void offer(LongHeap heap, int[] symbols, int left, int right) {
    long merge = merges.find(PairTable.pair(symbols[left], symbols[right]));
    if (merge != PairTable.ABSENT) {
      heap.add((merge >>> 32) << 32 | left);
    }
  }
}

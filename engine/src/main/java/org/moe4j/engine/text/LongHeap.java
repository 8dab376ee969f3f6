package org.moe4j.engine.text;

import java.util.Arrays;

/** Numbers of which the smallest comes first. */
final class LongHeap {
  private long[] heap = new long[64];
  private int count;

  boolean isEmpty() {
    return count == 0;
  }

  void push(long value) {
    if (count == heap.length) {
      heap = Arrays.copyOf(heap, 2 * count);
    }
    int at = count++;
    while (at > 0 && heap[(at - 1) / 2] > value) {
      heap[at] = heap[(at - 1) / 2];
      at = (at - 1) / 2;
    }
    heap[at] = value;
  }

  long pop() {
    long least = heap[0];
    long last = heap[--count];
    int at = 0;
    for (int child = 1; child < count; child = 2 * at + 1) {
      child += child + 1 < count && heap[child + 1] < heap[child] ? 1 : 0;
      if (heap[child] >= last) {
        break;
      }
      heap[at] = heap[child];
      at = child;
    }
    heap[at] = last;
    return least;
  }
}

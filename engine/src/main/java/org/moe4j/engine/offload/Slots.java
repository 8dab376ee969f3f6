package org.moe4j.engine.offload;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.Optional;

/** Memory for packed experts of one size. What was taken once is used again, never freed. */
final class Slots {
  private final Arena arena;
  private final long bytes;
  private final Deque<MemorySegment> free = new ArrayDeque<>();
  private int left;

  /** None yet, of {@code bytes} each. */
  Slots(Arena arena, long bytes) {
    this.arena = arena;
    this.bytes = bytes;
  }

  /** Allows {@code count} more. */
  void allow(int count) {
    left += count;
  }

  /** One that is free, if any is. */
  Optional<MemorySegment> take() {
    if (free.isEmpty() && left > 0) {
      left--;
      return Optional.of(arena.allocate(bytes, 64));
    }
    return Optional.ofNullable(free.pollLast());
  }

  void give(MemorySegment slot) {
    free.addLast(slot);
  }
}

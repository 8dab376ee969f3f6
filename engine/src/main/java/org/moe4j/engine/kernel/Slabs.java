package org.moe4j.engine.kernel;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import org.moe4j.engine.machine.HugePages;

/** Memory for many matrices, cut from large pieces so that it lies in huge pages. */
final class Slabs {
  private static final long SLAB = 32 * HugePages.SIZE;
  private static final long ALIGNMENT = 64;

  private final Arena arena;
  private MemorySegment rest = MemorySegment.NULL;

  Slabs(Arena arena) {
    this.arena = arena;
  }

  /** Zeroed memory that begins on a line of the cache; any thread may ask. */
  synchronized MemorySegment allocate(long bytes) {
    long size = Math.ceilDiv(bytes, ALIGNMENT) * ALIGNMENT;
    if (size > SLAB / 4) {
      return HugePages.allocate(arena, bytes);
    }
    if (size > rest.byteSize()) {
      rest = HugePages.allocate(arena, SLAB);
    }
    MemorySegment cut = rest.asSlice(0, bytes);
    rest = rest.asSlice(size);
    return cut;
  }
}

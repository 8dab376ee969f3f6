package org.moe4j.engine.machine;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import org.moe4j.engine.EngineException;

/**
 * Memory in pages of 2 MiB, where Linux has them: weights that are streamed then cost fewer misses
 * of the address cache, and the processor's prefetching does not end every 4 KiB.
 */
public final class HugePages {
  /** Bytes of a huge page. */
  public static final long SIZE = 2 << 20;

  private static final boolean LINUX = "Linux".equals(System.getProperty("os.name"));

  private HugePages() {}

  /**
   * Zeroed memory of {@code arena}, from the beginning of a page of {@link #SIZE} on. Where huge
   * pages cannot be had, it is of ordinary ones.
   */
  public static MemorySegment allocate(Arena arena, long bytes) {
    if (!LINUX) {
      return arena.allocate(bytes, SIZE);
    }
    try {
      return map(arena, bytes);
    } catch (EngineException e) {
      return arena.allocate(bytes, SIZE); // which says so if there is no memory at all
    }
  }

  private static MemorySegment map(Arena arena, long bytes) {
    long size = Math.addExact(Math.max(bytes, 1), SIZE);
    long address = SystemMemory.map(size);
    long from = Math.ceilDiv(address, SIZE) * SIZE;
    try {
      SystemMemory.advise(from, bytes, SystemMemory.HUGE_PAGES);
    } catch (EngineException e) {
      // a kernel without them: the memory is good all the same
    }
    return MemorySegment.ofAddress(from)
        .reinterpret(bytes, arena, gone -> SystemMemory.unmap(address, size));
  }
}

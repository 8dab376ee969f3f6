package org.moe4j.engine.kernel;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SegmentAllocator;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.util.Optional;

/**
 * Memory for weights, in large pieces of which matrices are cut: the kernel gives it page by
 * page as it is filled. (An arena of the JDK would write zeros all over
 * it first, in one thread.) Linux is asked for huge pages: the processor then misses fewer
 * translations of addresses, and its prefetching does not end every 4 KiB. Where the C library's
 * mmap is not at hand, it is an arena's after all.
 */
final class NativeMemory implements SegmentAllocator {
  private static final long PIECE = 64L << 20;
  private static final long PAGE = 4096;
  private static final long HUGE_PAGE = 2 << 20;
  private static final int READ_WRITE = 3;
  private static final int PRIVATE_ANONYMOUS = 0x22;
  private static final int NOT_NEEDED = 4;
  private static final int IN_HUGE_PAGES = 14;

  private static final Optional<MethodHandle> MAP =
      linux(
          "mmap",
          FunctionDescriptor.of(
              ValueLayout.JAVA_LONG,
              ValueLayout.JAVA_LONG,
              ValueLayout.JAVA_LONG,
              ValueLayout.JAVA_INT,
              ValueLayout.JAVA_INT,
              ValueLayout.JAVA_INT,
              ValueLayout.JAVA_LONG));
  private static final Optional<MethodHandle> UNMAP =
      linux(
          "munmap",
          FunctionDescriptor.of(
              ValueLayout.JAVA_INT, ValueLayout.JAVA_LONG, ValueLayout.JAVA_LONG));
  private static final Optional<MethodHandle> ADVISE =
      linux(
          "madvise",
          FunctionDescriptor.of(
              ValueLayout.JAVA_INT,
              ValueLayout.JAVA_LONG,
              ValueLayout.JAVA_LONG,
              ValueLayout.JAVA_INT));

  private final Arena arena;
  private MemorySegment piece = MemorySegment.NULL;
  private long used;

  /** Memory that lives as long as {@code arena}. */
  NativeMemory(Arena arena) {
    this.arena = arena;
  }

  private static Optional<MethodHandle> linux(String name, FunctionDescriptor type) {
    if (!System.getProperty("os.name").equals("Linux") || ValueLayout.ADDRESS.byteSize() != 8) {
      return Optional.empty();
    }
    try {
      Linker linker = Linker.nativeLinker();
      return linker.defaultLookup().find(name).map(f -> linker.downcallHandle(f, type));
    } catch (UnsupportedOperationException e) {
      return Optional.empty(); // a processor that the JDK makes no native calls on
    }
  }

  @Override
  public synchronized MemorySegment allocate(long bytes, long alignment) {
    long from = Math.ceilDiv(used, alignment) * alignment;
    if (from + bytes > piece.byteSize()) {
      piece = map(Math.max(PIECE, Math.ceilDiv(bytes, PAGE) * PAGE));
      from = 0;
    }
    used = from + bytes;
    return piece.asSlice(from, bytes);
  }

  private MemorySegment map(long bytes) {
    long mapped = bytes + HUGE_PAGE;
    long address = MAP.isEmpty() ? -1 : call(MAP.get(), mapped);
    if (address == -1 || UNMAP.isEmpty()) {
      return arena.allocate(bytes, 64);
    }
    long from = Math.ceilDiv(address, HUGE_PAGE) * HUGE_PAGE;
    advise(from, bytes, IN_HUGE_PAGES);
    return MemorySegment.ofAddress(from).reinterpret(bytes, arena, m -> unmap(address, mapped));
  }

  private static long call(MethodHandle map, long bytes) {
    try {
      return (long) map.invokeExact(0L, bytes, READ_WRITE, PRIVATE_ANONYMOUS, -1, 0L);
    } catch (Throwable e) {
      throw new IllegalStateException(e);
    }
  }

  private static void unmap(long address, long bytes) {
    try {
      int _ = (int) UNMAP.orElseThrow().invokeExact(address, bytes);
    } catch (Throwable e) {
      throw new IllegalStateException(e);
    }
  }

  private static void advise(long address, long bytes, int advice) {
    if (ADVISE.isPresent()) {
      try {
        int _ = (int) ADVISE.get().invokeExact(address, bytes, advice);
      } catch (Throwable e) {
        throw new IllegalStateException(e);
      }
    }
  }

  /** Says that a part of a mapped file will not be read soon: it then counts no longer as ours. */
  static void forget(MemorySegment mapped) {
    long from = Math.ceilDiv(mapped.address(), PAGE) * PAGE;
    long to = (mapped.address() + mapped.byteSize()) / PAGE * PAGE;
    if (mapped.isMapped() && to > from) {
      advise(from, to - from, NOT_NEEDED);
    }
  }
}

package org.moe4j.tensor;

import java.io.IOException;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;

/** The process's native memory: how the C library's allocator behaves, and how much is in use. */
public final class NativeMemory {
  private static final int M_TRIM_THRESHOLD = -1;
  private static final int M_MMAP_THRESHOLD = -3;
  private static final int MADV_HUGEPAGE = 14;
  private static final long HUGE_PAGE = 1L << 21;

  /** Linux's madvise; empty elsewhere. */
  private static final Optional<MethodHandle> MADVISE =
      System.getProperty("os.name", "").equals("Linux")
          ? Linker.nativeLinker()
              .defaultLookup()
              .find("madvise")
              .map(
                  symbol ->
                      Linker.nativeLinker()
                          .downcallHandle(
                              symbol,
                              FunctionDescriptor.of(
                                  ValueLayout.JAVA_INT,
                                  ValueLayout.JAVA_LONG,
                                  ValueLayout.JAVA_LONG,
                                  ValueLayout.JAVA_INT)))
          : Optional.empty();

  private NativeMemory() {}

  /**
   * Tells glibc to keep freed blocks of up to {@code bytes} for reuse instead of returning them to
   * the system. A training step allocates and frees the same large tensors every time; without this
   * each of them is mapped and page-faulted anew, which costs a tenth of a step on a CPU. Does
   * nothing on other C libraries.
   */
  public static void reuseFreedBlocks(long bytes) {
    Linker linker = Linker.nativeLinker();
    linker
        .defaultLookup()
        .find("mallopt")
        .ifPresent(
            symbol -> {
              MethodHandle mallopt =
                  linker.downcallHandle(
                      symbol,
                      FunctionDescriptor.of(
                          ValueLayout.JAVA_INT, ValueLayout.JAVA_INT, ValueLayout.JAVA_INT));
              int limit = (int) Math.min(bytes, Integer.MAX_VALUE);
              try {
                int unused = (int) mallopt.invokeExact(M_MMAP_THRESHOLD, limit);
                unused = (int) mallopt.invokeExact(M_TRIM_THRESHOLD, limit);
              } catch (Throwable e) {
                throw new IllegalStateException("mallopt", e);
              }
            });
  }

  /**
   * Asks Linux to back {@code memory} with pages of 2 MiB where its administrator lets programs
   * choose. Rows picked from a table of gigabytes then cost no walk through its page tables each,
   * and a fresh block of hundreds of megabytes a thousandth of the page faults. Best asked before
   * the memory is first written; a refusal does not matter.
   */
  static void hugePages(MemorySegment memory) {
    long start = (memory.address() + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
    long bytes = (memory.address() + memory.byteSize() - start) / HUGE_PAGE * HUGE_PAGE;
    if (bytes > 0) {
      MADVISE.ifPresent(
          madvise -> {
            try {
              int _ = (int) madvise.invokeExact(start, bytes, MADV_HUGEPAGE);
            } catch (Throwable e) {
              throw new IllegalStateException("madvise", e);
            }
          });
    }
  }

  /** Bytes of this process that are in memory now; 0 where the system does not say. */
  public static long resident() {
    return status("VmRSS:");
  }

  /** The most bytes of this process that were ever in memory; 0 where the system does not say. */
  public static long peakResident() {
    return status("VmHWM:");
  }

  private static long status(String key) {
    Path status = Path.of("/proc/self/status");
    if (!Files.isReadable(status)) {
      return 0;
    }
    try (var lines = Files.lines(status)) {
      return lines
          .filter(line -> line.startsWith(key))
          .mapToLong(line -> Long.parseLong(line.replaceAll("\\D", "")) * 1024)
          .findFirst()
          .orElse(0);
    } catch (IOException e) {
      return 0;
    }
  }
}

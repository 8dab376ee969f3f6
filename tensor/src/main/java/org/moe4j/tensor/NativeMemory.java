package org.moe4j.tensor;

import java.io.IOException;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.nio.file.Files;
import java.nio.file.Path;

/** The process's native memory: how the C library's allocator behaves, and how much is in use. */
public final class NativeMemory {
  private static final int M_TRIM_THRESHOLD = -1;
  private static final int M_MMAP_THRESHOLD = -3;

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

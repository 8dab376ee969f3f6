package org.moe4j.tensor;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;

/**
 * Settings that libtorch's libraries read from the environment when they are loaded. They are made
 * here, inside the process, so that a program gets them however it was started; what the user has
 * set wins.
 */
final class NativeRuntime {
  static {
    // libtorch's idle OpenMP threads spin before they sleep, by default for milliseconds. On a
    // machine with few cores they take these from the workers; a few microseconds are enough.
    environment("GOMP_SPINCOUNT", "500");
    // Large products are split by Workers; a pool of the BLAS library's own only gets in their way.
    environment("OPENBLAS_NUM_THREADS", "1");
  }

  private NativeRuntime() {}

  /** Makes the settings; call before any libtorch class is initialised. */
  static void prepare() {}

  private static void environment(String name, String value) {
    Linker linker = Linker.nativeLinker();
    linker
        .defaultLookup()
        .find("setenv")
        .ifPresent(
            symbol -> {
              MethodHandle setenv =
                  linker.downcallHandle(
                      symbol,
                      FunctionDescriptor.of(
                          ValueLayout.JAVA_INT,
                          ValueLayout.ADDRESS,
                          ValueLayout.ADDRESS,
                          ValueLayout.JAVA_INT));
              try (Arena arena = Arena.ofConfined()) {
                MemorySegment key = arena.allocateFrom(name);
                int _ = (int) setenv.invokeExact(key, arena.allocateFrom(value), 0);
              } catch (Throwable e) {
                throw new IllegalStateException("setenv " + name, e);
              }
            });
  }
}

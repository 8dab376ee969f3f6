package org.moe4j.engine.machine;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.lang.invoke.VarHandle;
import org.moe4j.engine.EngineException;

/** Calls of Linux that map memory, by way of the C library. */
final class SystemMemory {
  static final int READ = 1;
  static final int WRITE = 2;
  static final int EXECUTE = 4;

  /** Advice: back it by huge pages. */
  static final int HUGE_PAGES = 14;

  static final int NOT_NEEDED = 4;

  private static final int PRIVATE_ANONYMOUS = 0x22;
  private static final ValueLayout.OfLong LONG = ValueLayout.JAVA_LONG;
  private static final ValueLayout.OfInt INT = ValueLayout.JAVA_INT;
  private static final MemoryLayout STATE = Linker.Option.captureStateLayout();
  private static final VarHandle ERROR =
      STATE.varHandle(MemoryLayout.PathElement.groupElement("errno"));

  private SystemMemory() {}

  /** A call, given what catches its error number. */
  @FunctionalInterface
  private interface Call {
    long make(MethodHandle function, MemorySegment state) throws Throwable;
  }

  /**
   * Maps {@code size} bytes of zeros that can be written.
   *
   * @return the address
   * @throws EngineException if the system or the JVM refuses
   */
  static long map(long size) {
    return call(
        "mmap",
        FunctionDescriptor.of(LONG, LONG, LONG, INT, INT, INT, LONG),
        (f, state) ->
            (long) f.invokeExact(state, 0L, size, READ | WRITE, PRIVATE_ANONYMOUS, -1, 0L));
  }

  /** Gives mapped memory back. */
  static void unmap(long address, long size) {
    call(
        "munmap",
        FunctionDescriptor.of(INT, LONG, LONG),
        (f, state) -> (int) f.invokeExact(state, address, size));
  }

  /** Sets what may be done with mapped memory: {@link #READ} and others. */
  static void protect(long address, long size, int rights) {
    call(
        "mprotect",
        FunctionDescriptor.of(INT, LONG, LONG, INT),
        (f, state) -> (int) f.invokeExact(state, address, size, rights));
  }

  /** Says how memory will be used. */
  static void advise(long address, long size, int advice) {
    call(
        "madvise",
        FunctionDescriptor.of(INT, LONG, LONG, INT),
        (f, state) -> (int) f.invokeExact(state, address, size, advice));
  }

  private static long call(String name, FunctionDescriptor type, Call call) {
    try (Arena arena = Arena.ofConfined()) {
      Linker linker = Linker.nativeLinker();
      MemorySegment found =
          linker
              .defaultLookup()
              .find(name)
              .orElseThrow(() -> new EngineException("the C library has no " + name));
      MemorySegment state = arena.allocate(STATE);
      MethodHandle function =
          linker.downcallHandle(found, type, Linker.Option.captureCallState("errno"));
      long result = call.make(function, state);
      if (result == -1) {
        int error = (int) ERROR.get(state, 0L);
        throw new EngineException("the system refuses memory (" + name + ", error " + error + ")");
      }
      return result;
    } catch (UnsupportedOperationException e) {
      throw new EngineException("the JVM has no native calls on this machine", e);
    } catch (IllegalCallerException e) {
      throw new EngineException("the JVM allows no native calls, see --enable-native-access", e);
    } catch (RuntimeException | Error e) {
      throw e;
    } catch (Throwable e) {
      throw new AssertionError(e); // C functions throw nothing
    }
  }
}

package org.moe4j.engine.machine;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import org.moe4j.engine.EngineException;

/**
 * Pages of memory that can be executed and, from then on, no longer written: mapped for writing,
 * filled, then made executable. Linux alone.
 */
final class ExecutableMemory implements AutoCloseable {
  private static final int READ = 1;
  private static final int WRITE = 2;
  private static final int EXECUTE = 4;
  private static final int PRIVATE_ANONYMOUS = 0x22;
  private static final ValueLayout.OfLong LONG = ValueLayout.JAVA_LONG;
  private static final ValueLayout.OfInt INT = ValueLayout.JAVA_INT;
  private static final MemoryLayout STATE = Linker.Option.captureStateLayout();

  private final long address;
  private final long size;

  private ExecutableMemory(long address, long size) {
    this.address = address;
    this.size = size;
  }

  /**
   * Maps memory with {@code code} at its beginning.
   *
   * @throws EngineException if the system or the JVM refuses
   */
  static ExecutableMemory of(byte[] code) {
    ExecutableMemory memory = writable(Math.ceilDiv(code.length, 4096) * 4096L);
    MemorySegment to = memory.code().reinterpret(memory.size);
    MemorySegment.copy(MemorySegment.ofArray(code), 0, to, 0, code.length);
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment state = arena.allocate(STATE);
      int result =
          (int)
              function("mprotect", FunctionDescriptor.of(INT, LONG, LONG, INT))
                  .invokeExact(state, memory.address, memory.size, READ | EXECUTE);
      if (result != 0) {
        memory.close();
        throw refused("mprotect", state);
      }
      return memory;
    } catch (RuntimeException | Error e) {
      throw e;
    } catch (Throwable e) {
      throw new AssertionError(e); // C functions throw nothing
    }
  }

  /** Maps {@code size} bytes that can be written, not executed. */
  static ExecutableMemory writable(long size) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment state = arena.allocate(STATE);
      long address =
          (long)
              function("mmap", FunctionDescriptor.of(LONG, LONG, LONG, INT, INT, INT, LONG))
                  .invokeExact(state, 0L, size, READ | WRITE, PRIVATE_ANONYMOUS, -1, 0L);
      if (address == -1) {
        throw refused("mmap", state);
      }
      return new ExecutableMemory(address, size);
    } catch (IllegalCallerException e) {
      throw new EngineException("the JVM allows no native calls, see --enable-native-access", e);
    } catch (RuntimeException | Error e) {
      throw e;
    } catch (Throwable e) {
      throw new AssertionError(e); // C functions throw nothing
    }
  }

  private static MethodHandle function(String name, FunctionDescriptor type) {
    Linker linker = Linker.nativeLinker();
    MemorySegment found =
        linker
            .defaultLookup()
            .find(name)
            .orElseThrow(() -> new EngineException("the C library has no " + name));
    return linker.downcallHandle(found, type, Linker.Option.captureCallState("errno"));
  }

  private static EngineException refused(String function, MemorySegment state) {
    int error =
        (int) STATE.varHandle(MemoryLayout.PathElement.groupElement("errno")).get(state, 0L);
    return new EngineException(
        "the system refuses executable memory (" + function + ", error " + error + ")");
  }

  /** Where the code begins. */
  MemorySegment code() {
    return MemorySegment.ofAddress(address);
  }

  /** Unmaps it. Nothing may run in it any more. */
  @Override
  public void close() {
    try (Arena arena = Arena.ofConfined()) {
      int result =
          (int)
              function("munmap", FunctionDescriptor.of(INT, LONG, LONG))
                  .invokeExact(arena.allocate(STATE), address, size);
      if (result != 0) {
        throw new AssertionError("munmap of " + size + " bytes fails");
      }
    } catch (RuntimeException | Error e) {
      throw e;
    } catch (Throwable e) {
      throw new AssertionError(e);
    }
  }
}

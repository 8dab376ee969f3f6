package org.moe4j.engine.machine;

import java.lang.foreign.MemorySegment;
import org.moe4j.engine.EngineException;

/**
 * Pages of memory that can be executed and, from then on, no longer written: mapped for writing,
 * filled, then made executable.
 */
final class ExecutableMemory implements AutoCloseable {
  private static final long PAGE = 4096;

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
    long size = Math.ceilDiv(code.length, PAGE) * PAGE;
    ExecutableMemory memory = new ExecutableMemory(SystemMemory.map(size), size);
    MemorySegment to = memory.code().reinterpret(size);
    MemorySegment.copy(MemorySegment.ofArray(code), 0, to, 0, code.length);
    try {
      SystemMemory.protect(memory.address, size, SystemMemory.READ | SystemMemory.EXECUTE);
      return memory;
    } catch (EngineException e) {
      memory.close();
      throw e;
    }
  }

  /** Where the code begins. */
  MemorySegment code() {
    return MemorySegment.ofAddress(address);
  }

  /** Unmaps it. Nothing may run in it any more. */
  @Override
  public void close() {
    SystemMemory.unmap(address, size);
  }
}

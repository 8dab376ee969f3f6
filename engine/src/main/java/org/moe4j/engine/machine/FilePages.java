package org.moe4j.engine.machine;

import java.lang.foreign.MemorySegment;
import org.moe4j.engine.EngineException;

/** Pages of mapped files. */
public final class FilePages {
  private static final long SIZE = 4096;

  private FilePages() {}

  /**
   * Says that a part of a mapped file will not be read soon: its pages then count no longer as this
   * process's memory, though the system may keep them. Other memory is left alone.
   */
  public static void forget(MemorySegment mapped) {
    long from = Math.ceilDiv(mapped.address(), SIZE) * SIZE;
    long to = (mapped.address() + mapped.byteSize()) / SIZE * SIZE;
    if (!mapped.isMapped() || to <= from) {
      return;
    }
    try {
      SystemMemory.advise(from, to - from, SystemMemory.NOT_NEEDED);
    } catch (EngineException e) {
      // they go when the system needs the memory
    }
  }
}

package org.moe4j.engine.kernel;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Objects;
import org.moe4j.engine.machine.ByteRecord;
import org.moe4j.engine.machine.MachineKernels;

/**
 * Rows of activations in 8 bits in native memory, as machine code takes them: {@link ByteRecord}.
 */
final class ByteRows {
  private static final ThreadLocal<MemorySegment> VALUES =
      ThreadLocal.withInitial(() -> allocate(0));

  private final MachineKernels kernels;
  private final int columns;
  private MemorySegment memory = allocate(0);

  /** Rows of {@code columns} numbers, a multiple of 32; none yet. */
  ByteRows(MachineKernels kernels, int columns) {
    this.kernels = kernels;
    this.columns = columns;
  }

  private static MemorySegment allocate(long bytes) {
    return Arena.ofAuto().allocate(bytes, 64);
  }

  /** Makes room for {@code rows} rows. What was there is lost. */
  void reserve(int rows) {
    if (memory.byteSize() < rows * rowBytes()) {
      memory = allocate(rows * rowBytes());
    }
  }

  long rowBytes() {
    return records(columns);
  }

  /** Where a row lies, as long as this object lives and nothing more is reserved. */
  long address(int row) {
    long from = row * rowBytes();
    Objects.checkFromIndexSize(from, rowBytes(), memory.byteSize());
    return memory.address() + from;
  }

  /**
   * Rounds numbers {@code from} to {@code to - 1} of a row to 8 bits, by the rule of {@link
   * Activations}.
   *
   * @param values the row's numbers, from index {@code at}
   * @param from a multiple of 32, as {@code to}
   */
  void quantise(float[] values, int at, int row, int from, int to) {
    MemorySegment copy = VALUES.get();
    if (copy.byteSize() < 4L * columns) {
      copy = allocate(4L * columns);
      VALUES.set(copy);
    }
    MemorySegment.copy(values, at + from, copy, ValueLayout.JAVA_FLOAT, 0, to - from);
    kernels.quantise(copy.address(), address(row) + records(from), records(to - from));
  }

  private static long records(int numbers) {
    return (long) numbers / Activations.BLOCK * ByteRecord.BYTES;
  }
}

package org.moe4j.engine.kernel;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Optional;
import org.moe4j.engine.gguf.GgmlType;
import org.moe4j.engine.gguf.GgufTensor;
import org.moe4j.engine.machine.MachineKernels;
import org.moe4j.engine.machine.WeightFormat;

/** Turns stored matrices into packed ones. */
public final class Packing {
  private static final ValueLayout.OfInt INT = ValueLayout.JAVA_INT_UNALIGNED;
  private static final ValueLayout.OfShort SHORT = ValueLayout.JAVA_SHORT_UNALIGNED;

  private final Arena arena;
  private final boolean exact;
  private final Optional<MachineKernels> machine;

  /**
   * Packs into memory of {@code arena}.
   *
   * @param exact whether activations are to stay floats everywhere: slower
   */
  public Packing(Arena arena, boolean exact) {
    this.arena = arena;
    this.exact = exact;
    this.machine = exact ? Optional.empty() : MachineChoice.wanted();
  }

  /**
   * Matrix {@code index} of those stacked in {@code tensor}, each of {@code rows} rows. Types
   * without a packed form stay where they are, if that is native memory such as a mapped file.
   */
  public Matrix pack(GgufTensor tensor, int index, int rows) {
    long bytes = rows * tensor.rowBytes();
    GgmlType type = tensor.type();
    MemorySegment stored = tensor.data().asSlice(index * bytes, bytes);
    if (!packs(type) && stored.isNative()) {
      return matrix(type, rows, tensor.columns(), stored);
    }
    MemorySegment to = arena.allocate(bytes(type, rows, tensor.columns()), 64);
    pack(type, stored, rows, tensor.columns(), to);
    return matrix(type, rows, tensor.columns(), to);
  }

  private boolean packs(GgmlType type) {
    return machineFormat(type).isPresent() || (type == GgmlType.Q4_0 && !exact);
  }

  private Optional<WeightFormat> machineFormat(GgmlType type) {
    return machine.flatMap(kernels -> MachineChoice.format(type));
  }

  /**
   * Bytes of a packed matrix. Rows are packed panel by panel, so a panel's place is the size of the
   * rows before it.
   */
  public long bytes(GgmlType type, int rows, int columns) {
    Optional<WeightFormat> format = machineFormat(type);
    if (format.isPresent()) {
      return 2 * MachineMatrix.halfBytes(format.get(), columns) * Math.ceilDiv(rows, Matrix.PANEL);
    }
    if (packs(type)) {
      long panels = Math.ceilDiv(rows, Matrix.PANEL);
      return 2L * panels * (columns / 32) * Q4Matrix.BLOCK_BYTES;
    }
    return rows * type.bytes(columns);
  }

  /** The matrix in memory of {@link #bytes} that was or will be filled by packing. */
  public Matrix matrix(GgmlType type, int rows, int columns, MemorySegment packed) {
    Optional<WeightFormat> format = machineFormat(type);
    if (format.isPresent()) {
      return new MachineMatrix(machine.get(), format.get(), rows, columns, packed);
    }
    return packs(type)
        ? new Q4Matrix(rows, columns, packed)
        : new BlockMatrix(type, rows, columns, packed);
  }

  /**
   * Packs rows into memory that is there, from the beginning of a panel on.
   *
   * @param stored the rows as the file has them
   * @param packed of {@link #bytes}
   */
  public void pack(
      GgmlType type, MemorySegment stored, int rows, int columns, MemorySegment packed) {
    Optional<WeightFormat> format = machineFormat(type);
    if (format.isPresent()) {
      MachinePacking.pack(format.get(), stored, rows, columns, packed);
    } else if (packs(type)) {
      interleave(stored, rows, columns, packed);
    } else {
      MemorySegment.copy(stored, 0, packed, 0, rows * type.bytes(columns));
    }
  }

  /** Rows of blocks of a scale and four ints. */
  private static void interleave(MemorySegment stored, int rows, int columns, MemorySegment to) {
    long rowBytes = GgmlType.Q4_0.bytes(columns);
    for (int r = 0; r < rows; r++) {
      interleaveRow(stored, r * rowBytes, r, columns / 32, to);
    }
  }

  private static void interleaveRow(
      MemorySegment stored, long from, int r, int blocks, MemorySegment to) {
    long lane = r % 16 * 4L;
    long sixteen = r % 32 / 16;
    long source = from;
    long target = (long) (r / 32) * blocks * Q4Matrix.BLOCK_BYTES;
    for (int b = 0; b < blocks; b++) {
      to.set(SHORT, target + lane + sixteen * 2, stored.get(SHORT, source));
      long first = target + 64 + sixteen * 256 + lane;
      for (long v = 0; v < 4; v++) {
        to.set(INT, first + v * 64, stored.get(INT, source + 2 + 4 * v));
      }
      source += 18;
      target += Q4Matrix.BLOCK_BYTES;
    }
  }
}

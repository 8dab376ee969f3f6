package org.moe4j.engine.kernel;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Optional;
import org.moe4j.engine.gguf.GgmlType;
import org.moe4j.engine.gguf.GgufTensor;
import org.moe4j.engine.machine.FilePages;
import org.moe4j.engine.machine.MachineKernels;
import org.moe4j.engine.machine.WeightFormat;

/** Turns stored matrices into packed ones. */
public final class Packing {
  private static final ValueLayout.OfInt INT = ValueLayout.JAVA_INT_UNALIGNED;
  private static final ValueLayout.OfShort SHORT = ValueLayout.JAVA_SHORT_UNALIGNED;

  private final Slabs slabs;
  private final boolean exact;
  private final Optional<MachineKernels> machine;
  private final Copy copy;
  private final LateWeights late = new LateWeights();

  /** Reads stored bytes. */
  @FunctionalInterface
  public interface Copy {
    /** Copies {@code stored}, which may be mapped, to memory of its size; any thread may ask. */
    void bytes(MemorySegment stored, MemorySegment to);
  }

  /** {@link #Packing(Arena, boolean, Copy)} of memory that is there. */
  public Packing(Arena arena, boolean exact) {
    this(arena, exact, (stored, to) -> to.copyFrom(stored));
  }

  /**
   * Packs into memory of {@code arena}.
   *
   * @param exact whether activations are to stay floats everywhere: slower
   * @param copy how stored bytes are read
   */
  public Packing(Arena arena, boolean exact, Copy copy) {
    this.slabs = new Slabs(arena);
    this.exact = exact;
    this.copy = copy;
    this.machine = exact ? Optional.empty() : MachineChoice.wanted();
  }

  /**
   * Matrix {@code index} of those stacked in {@code tensor}, each of {@code rows} rows. Types
   * without a packed form stay where they are, if that is native memory such as a mapped file.
   */
  public Matrix pack(GgufTensor tensor, int index, int rows) {
    return packRows(tensor, (long) index * rows, rows);
  }

  /** The matrix of {@code rows} rows of {@code tensor} from row {@code from} on. */
  public Matrix packRows(GgufTensor tensor, long from, int rows) {
    return pack(tensor.type(), stored(tensor, from, rows), rows, tensor.columns());
  }

  /**
   * What {@link #pack(GgufTensor, int, int)} makes, perhaps packed only when it is used, if the
   * tensor can be read until then. Two threads must not use one of its panels at once.
   */
  public Matrix packLater(GgufTensor tensor, int index, int rows) {
    Optional<WeightFormat> format = machineFormat(tensor.type());
    if (format.isEmpty()) {
      return pack(tensor, index, rows);
    }
    int columns = tensor.columns();
    MemorySegment to = slabs.allocate(bytes(tensor.type(), rows, columns));
    MemorySegment stored = stored(tensor, (long) index * rows, rows);
    LateMatrix matrix =
        new LateMatrix(
            new MachineMatrix(machine.get(), format.get(), rows, columns, to),
            new MachinePacking(machine.get(), format.get(), rows, columns, stored, copy));
    late.add(matrix);
    return matrix;
  }

  /** All that is packed only when it is used. */
  public LateWeights late() {
    return late;
  }

  private static MemorySegment stored(GgufTensor tensor, long from, int rows) {
    long rowBytes = tensor.rowBytes();
    return tensor.data().asSlice(from * rowBytes, rows * rowBytes);
  }

  /** A matrix of floats, row after row. */
  public Matrix pack(float[] matrix, int rows, int columns) {
    return pack(GgmlType.F32, MemorySegment.ofArray(matrix), rows, columns);
  }

  private Matrix pack(GgmlType type, MemorySegment stored, int rows, int columns) {
    if (!packs(type) && stored.isNative()) {
      return matrix(type, rows, columns, stored);
    }
    MemorySegment to = slabs.allocate(bytes(type, rows, columns));
    pack(type, stored, rows, columns, to, copy);
    FilePages.forget(stored);
    return matrix(type, rows, columns, to);
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
      return MachineMatrix.panelBytes(format.get(), columns) * Math.ceilDiv(rows, Matrix.PANEL);
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
    pack(type, stored, rows, columns, packed, (from, to) -> to.copyFrom(from));
  }

  private void pack(
      GgmlType type,
      MemorySegment stored,
      int rows,
      int columns,
      MemorySegment packed,
      Copy reading) {
    Optional<WeightFormat> format = machineFormat(type);
    if (format.isPresent()) {
      new MachinePacking(machine.get(), format.get(), rows, columns, stored, reading).all(packed);
    } else if (packs(type)) {
      interleave(stored, rows, columns, packed);
    } else {
      MemorySegment.copy(stored, 0, packed, 0, rows * type.bytes(columns));
    }
  }

  /** Blocks of 9 numbers of 16 bits, rows i and i + 16 of 32 side by side. */
  private static void interleave(MemorySegment stored, int rows, int columns, MemorySegment to) {
    long rowBytes = GgmlType.Q4_0.bytes(columns);
    for (int r = 0; r < rows; r += r % 16 == 15 ? 17 : 1) {
      long a = r * rowBytes;
      long at = (long) (r / 32) * 32 * rowBytes + r % 32 * 4L;
      row(stored, a, r + 16 < rows ? a + 16 * rowBytes : a, a + rowBytes, to, at);
    }
  }

  /** The loop ends at an address: counted ones over long indices are compiled less well. */
  private static void row(
      MemorySegment stored, long low, long high, long end, MemorySegment to, long at) {
    long b = high;
    long target = at;
    for (long a = low; a != end; a += 18) {
      pair(stored, a, b, to, target);
      b += 18;
      target += Q4Matrix.BLOCK_BYTES;
    }
  }

  /** Rows that lack the one 16 further on lie beside themselves. */
  private static void pair(MemorySegment stored, long a, long b, MemorySegment to, long at) {
    to.set(INT, at, (stored.get(SHORT, a) & 0xffff) | (stored.get(SHORT, b) << 16));
    two(stored.get(INT, a + 2), stored.get(INT, b + 2), to, at + 64);
    two(stored.get(INT, a + 6), stored.get(INT, b + 6), to, at + 192);
    two(stored.get(INT, a + 10), stored.get(INT, b + 10), to, at + 320);
    two(stored.get(INT, a + 14), stored.get(INT, b + 14), to, at + 448);
  }

  private static void two(int a, int b, MemorySegment to, long at) {
    to.set(INT, at, (a & 0xffff) | (b << 16));
    to.set(INT, at + 64, (a >>> 16) | (b & 0xffff0000));
  }
}

package org.moe4j.engine.kernel;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.moe4j.engine.gguf.Dequantise;
import org.moe4j.engine.gguf.GgmlType;
import org.moe4j.engine.gguf.GgufTensor;

/** Turns stored matrices into packed ones. */
public final class Packing {
  private static final ValueLayout.OfInt INT = ValueLayout.JAVA_INT_UNALIGNED;
  private static final ValueLayout.OfShort SHORT = ValueLayout.JAVA_SHORT_UNALIGNED;

  private final Arena arena;
  private final boolean exact;

  /**
   * Packs into memory of {@code arena}.
   *
   * @param exact whether activations are to stay floats everywhere: slower, and 4-bit weights take
   *     8 bits
   */
  public Packing(Arena arena, boolean exact) {
    this.arena = arena;
    this.exact = exact;
  }

  /**
   * Matrix {@code index} of those stacked in {@code tensor}, each of {@code rows} rows. Types
   * without loops of their own become floats.
   */
  public Matrix pack(GgufTensor tensor, int index, int rows) {
    long bytes = rows * tensor.rowBytes();
    GgmlType type = tensor.type();
    MemorySegment to = arena.allocate(bytes(type, rows, tensor.columns()), 64);
    pack(type, tensor.data().asSlice(index * bytes, bytes), rows, tensor.columns(), to);
    return matrix(type, rows, tensor.columns(), to);
  }

  /**
   * Bytes of a packed matrix. Rows are packed panel by panel, so a panel's place is the size of the
   * rows before it.
   */
  public long bytes(GgmlType type, int rows, int columns) {
    long panels = Math.ceilDiv(rows, Matrix.PANEL);
    return switch (type) {
      case Q4_0 ->
          2L * panels * (columns / 32) * (exact ? Q8Matrix.BLOCK_BYTES : Q4Matrix.BLOCK_BYTES);
      case Q8_0 -> 2L * panels * (columns / 32) * Q8Matrix.BLOCK_BYTES;
      default -> panels * Matrix.PANEL * columns * 4;
    };
  }

  /** The matrix in memory of {@link #bytes} that was or will be filled by packing. */
  public Matrix matrix(GgmlType type, int rows, int columns, MemorySegment packed) {
    return switch (type) {
      case Q4_0 ->
          exact
              ? new Q8Matrix(rows, columns, packed, false)
              : new Q4Matrix(rows, columns, packed);
      case Q8_0 -> new Q8Matrix(rows, columns, packed, !exact);
      default -> new FloatMatrix(rows, columns, packed);
    };
  }

  /**
   * Packs rows into memory that is there, from the beginning of a panel on.
   *
   * @param stored the rows as the file has them
   * @param packed of {@link #bytes}
   */
  public void pack(
      GgmlType type, MemorySegment stored, int rows, int columns, MemorySegment packed) {
    switch (type) {
      case Q4_0 -> {
        if (exact) {
          widen(stored, 0, rows, columns, packed);
        } else {
          interleave(stored, 0, rows, columns, 4, packed);
        }
      }
      case Q8_0 -> interleave(stored, 0, rows, columns, 8, packed);
      default -> floats(type, stored, rows, columns, packed);
    }
  }

  /** Rows of blocks of a scale and {@code ints} ints. */
  private static void interleave(
      MemorySegment stored, long from, int rows, int columns, int ints, MemorySegment to) {
    long rowBytes = (long) (columns / 32) * (2 + 4L * ints);
    for (int r = 0; r < rows; r++) {
      interleaveRow(stored, from + r * rowBytes, r, columns / 32, ints, to);
    }
  }

  private static void interleaveRow(
      MemorySegment stored, long from, int r, int blocks, int ints, MemorySegment to) {
    long blockBytes = 2 + 4L * ints;
    long lane = r % 16 * 4L;
    long sixteen = r % 32 / 16;
    long source = from;
    long target = (long) (r / 32) * 32 * blocks * blockBytes;
    for (int b = 0; b < blocks; b++) {
      to.set(SHORT, target + lane + sixteen * 2, stored.get(SHORT, source));
      long first = target + 64 + sixteen * (64L * ints) + lane;
      for (long v = 0; v < ints; v++) {
        to.set(INT, first + v * 64, stored.get(INT, source + 2 + 4 * v));
      }
      source += blockBytes;
      target += 32 * blockBytes;
    }
  }

  /** Q4_0 as Q8_0: the same numbers. */
  private static void widen(
      MemorySegment stored, long from, int rows, int columns, MemorySegment to) {
    int blocks = columns / 32;
    MemorySegment row = MemorySegment.ofArray(new byte[blocks * 34]);
    for (int r = 0; r < rows; r++) {
      for (long b = 0; b < blocks; b++) {
        long p = from + ((long) r * blocks + b) * 18;
        row.set(SHORT, b * 34, stored.get(SHORT, p));
        for (int i = 0; i < 16; i++) {
          int both = stored.get(ValueLayout.JAVA_BYTE, p + 2 + i);
          row.set(ValueLayout.JAVA_BYTE, b * 34 + 2 + i, (byte) ((both & 15) - 8));
          row.set(ValueLayout.JAVA_BYTE, b * 34 + 18 + i, (byte) (((both >> 4) & 15) - 8));
        }
      }
      interleaveRow(row, 0, r, blocks, 8, to);
    }
  }

  private static void floats(
      GgmlType type, MemorySegment stored, int rows, int columns, MemorySegment to) {
    float[] row = new float[columns];
    for (int r = 0; r < rows; r++) {
      Dequantise.row(type, stored, r * type.bytes(columns), columns, row, 0);
      long first = ((long) (r / Matrix.PANEL) * Matrix.PANEL * columns + r % Matrix.PANEL) * 4;
      for (int c = 0; c < columns; c++) {
        to.set(ValueLayout.JAVA_FLOAT_UNALIGNED, first + c * (Matrix.PANEL * 4L), row[c]);
      }
    }
  }
}

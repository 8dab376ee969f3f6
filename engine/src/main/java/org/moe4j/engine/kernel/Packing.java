package org.moe4j.engine.kernel;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
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
   * @param exact whether activations are to stay floats everywhere: slower
   */
  public Packing(Arena arena, boolean exact) {
    this.arena = arena;
    this.exact = exact;
  }

  /**
   * Matrix {@code index} of those stacked in {@code tensor}, each of {@code rows} rows. Types
   * without a packed form stay where they are, if that is native memory.
   */
  public Matrix pack(GgufTensor tensor, int index, int rows) {
    int columns = tensor.columns();
    long from = (long) index * rows * tensor.rowBytes();
    int panels = Math.ceilDiv(rows, Matrix.PANEL);
    if (tensor.type() == GgmlType.Q4_0 && !exact) {
      MemorySegment to = arena.allocate(2L * panels * (columns / 32) * Q4Matrix.BLOCK_BYTES, 64);
      interleave(tensor.data(), from, rows, columns, 4, to);
      return new Q4Matrix(rows, columns, to);
    }
    long size = rows * tensor.rowBytes();
    MemorySegment weights = tensor.data().asSlice(from, size);
    if (!weights.isNative()) {
      weights = arena.allocate(size, 64).copyFrom(weights);
    }
    return new BlockMatrix(tensor.type(), rows, columns, weights);
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
}

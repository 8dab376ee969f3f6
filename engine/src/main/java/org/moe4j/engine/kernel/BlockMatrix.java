package org.moe4j.engine.kernel;

import java.lang.foreign.MemorySegment;
import org.moe4j.engine.gguf.GgmlType;

/**
 * Weights as they are stored, row after row in blocks of any type, unpacked to floats where they
 * are multiplied. Activations stay floats, so nothing is rounded but the sums.
 *
 * <p>A row's sum is made of 16 partial sums: partial p adds columns p, p + 16, ... in order, each
 * by one fused multiply-add; columns that are missing in the last sixteen count as 0. Then partials
 * 8, 4, 2 and 1 apart are added. So do all implementations, for any number of rows at once.
 *
 * @param weights native memory, {@code rows} rows without gaps
 */
record BlockMatrix(GgmlType type, int rows, int columns, MemorySegment weights) implements Matrix {
  /** Partial sums of a row. */
  static final int PARTIALS = 16;

  @Override
  public boolean eightBit() {
    return false;
  }

  @Override
  public long bytes() {
    return weights.byteSize();
  }

  /** Bytes of a row. */
  long rowBytes() {
    return type.bytes(columns);
  }

  @Override
  public void multiply(int panel, Activations x, int[] rows, int from, int count, float[] out) {
    KernelChoice.FLOATS.multiply(this, panel * PANEL, x, rows, from, count, out);
  }
}

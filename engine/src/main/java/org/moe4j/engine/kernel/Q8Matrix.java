package org.moe4j.engine.kernel;

import java.lang.foreign.MemorySegment;

/**
 * Weights of 8 bits in blocks of 32 with a half-precision scale each (Q8_0), laid out as in {@link
 * Q4Matrix} with 8 ints of 4 columns for each row. With activations in floats it adds no error to
 * that of the stored weights.
 */
record Q8Matrix(int rows, int columns, MemorySegment weights, boolean eightBit) implements Matrix {
  /** Of 32 rows. */
  static final int BLOCK_BYTES = 32 * 34;

  @Override
  public long bytes() {
    return weights.byteSize();
  }

  @Override
  public void multiply(int panel, Activations x, int[] rows, int from, int count, float[] out) {
    long at = 2L * panel * (columns / 32) * BLOCK_BYTES;
    KernelChoice.FLOATS.q8(weights, at, x, eightBit, rows, from, count, out);
  }
}

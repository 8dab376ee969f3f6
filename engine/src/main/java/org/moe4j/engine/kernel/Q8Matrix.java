package org.moe4j.engine.kernel;

import java.lang.foreign.MemorySegment;

/**
 * Weights of 8 bits in blocks of 32 with a half-precision scale each (Q8_0), laid out as in {@link
 * Q4Matrix} with 8 ints of 4 columns for each row. It takes activations in floats, so it adds no
 * error to that of the stored weights.
 */
record Q8Matrix(int rows, int columns, MemorySegment weights) implements Matrix {
  /** Of 32 rows. */
  static final int BLOCK_BYTES = 32 * 34;

  @Override
  public boolean eightBit() {
    return false;
  }

  @Override
  public long bytes() {
    return weights.byteSize();
  }

  @Override
  public void multiply(int panel, Activations x, int[] rows, int from, int count, float[] out) {
    KernelChoice.KERNELS.q8(
        weights, 2L * panel * (columns / 32) * BLOCK_BYTES, x, rows, from, count, out);
  }
}

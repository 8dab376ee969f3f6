package org.moe4j.engine.kernel;

import java.lang.foreign.MemorySegment;

/**
 * Weights of 4 bits in blocks of 32 with a half-precision scale each (Q4_0), 32 rows interleaved.
 * Such a group holds for every block 64 bytes of scales (rows i and i + 16 in one int), then for
 * each sixteen of rows 4 times 16 ints: int v of a row is bytes {@code 4 v ... 4 v + 3} of its
 * stored block. It takes activations in 8 bits.
 */
record Q4Matrix(int rows, int columns, MemorySegment weights) implements Matrix {
  /** Of 32 rows. */
  static final int BLOCK_BYTES = 32 * 18;

  @Override
  public boolean eightBit() {
    return true;
  }

  @Override
  public long bytes() {
    return weights.byteSize();
  }

  @Override
  public void multiply(int panel, Activations x, int[] rows, int from, int count, float[] out) {
    KernelChoice.Q4.q4(
        weights, 2L * panel * (columns / 32) * BLOCK_BYTES, x, rows, from, count, out);
  }
}

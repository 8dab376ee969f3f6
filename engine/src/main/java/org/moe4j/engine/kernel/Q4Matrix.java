package org.moe4j.engine.kernel;

import java.lang.foreign.MemorySegment;

/**
 * Weights of 4 bits in blocks of 32 with a half-precision scale each (Q4_0), 32 rows interleaved.
 * Such a group holds for every block the 9 16-bit numbers that a row's stored block is made of (the
 * scale, then 8 times four codes): 32 rows of the first, 32 of the second, and so on, rows i and i
 * + 16 side by side. It takes activations in 8 bits.
 */
record Q4Matrix(int rows, int columns, MemorySegment weights) implements Matrix {
  /** Of 32 rows. */
  static final int BLOCK_BYTES = 32 * 18;

  /**
   * The column of a block's code number {@code i}, codes counted as the block's numbers hold them.
   */
  static int column(int i) {
    return i / 4 * 2 + (i & 1) * 16 + (i >> 1 & 1);
  }

  /** Where number {@code n} of row {@code r}'s block lies in a block of 32 rows. */
  static long place(int n, int r) {
    return n * 64L + r % 16 * 4L + r / 16 * 2L;
  }

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

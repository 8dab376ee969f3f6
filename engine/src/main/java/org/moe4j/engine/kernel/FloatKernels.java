package org.moe4j.engine.kernel;

import java.lang.foreign.MemorySegment;

/**
 * The inner loops of 8-bit and float matrices. A row's sum runs over blocks of 32 columns in order,
 * with one rounding rule, so every implementation, width and number of rows at once gives the same
 * bits.
 */
interface FloatKernels {
  /**
   * One panel of a {@link Q8Matrix} times rows of {@code x}.
   *
   * @param panel where it begins in {@code w}
   * @param rounded whether {@code x} is taken in 8 bits, else in floats
   * @param rows which rows of {@code x}; {@code count} of them from index {@code from}
   * @param out receives {@value Matrix#PANEL} sums for each of them in turn
   */
  void q8(
      MemorySegment w,
      long panel,
      Activations x,
      boolean rounded,
      int[] rows,
      int from,
      int count,
      float[] out);

  /** The same for a {@link FloatMatrix}. */
  void f32(
      MemorySegment w, long panel, Activations x, int[] rows, int from, int count, float[] out);
}

package org.moe4j.engine.kernel;

import java.lang.foreign.MemorySegment;

/**
 * The inner loops of 4-bit matrices. A row's sum runs over blocks of 32 columns in order, with one
 * rounding rule, so every implementation, width and number of rows at once gives the same bits.
 */
interface Q4Kernels {
  /**
   * One panel of a {@link Q4Matrix} times rows of {@code x}.
   *
   * @param panel where it begins in {@code w}
   * @param rows which rows of {@code x}; {@code count} of them from index {@code from}
   * @param out receives {@value Matrix#PANEL} sums for each of them in turn
   */
  void q4(MemorySegment w, long panel, Activations x, int[] rows, int from, int count, float[] out);
}

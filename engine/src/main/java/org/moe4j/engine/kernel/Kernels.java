package org.moe4j.engine.kernel;

import java.lang.foreign.MemorySegment;

/**
 * The inner loops. Matrices come in panels of {@value #PANEL} rows; a row's sum runs over blocks of
 * 32 columns in order, with one rounding rule, so every implementation, width and number of rows at
 * once gives the same bits.
 */
interface Kernels {
  /** Rows of a panel. */
  int PANEL = 64;

  /**
   * One panel of a {@link Q4Matrix} times rows of {@code x}.
   *
   * @param panel where it begins in {@code w}
   * @param rows which rows of {@code x}; {@code count} of them from index {@code from}
   * @param out receives {@value #PANEL} sums for each of them in turn
   */
  void q4(MemorySegment w, long panel, Activations x, int[] rows, int from, int count, float[] out);

  /**
   * The same for a {@link Q8Matrix}.
   *
   * @param rounded whether {@code x} is taken in 8 bits, else in floats
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

  /** See {@link Attention#scores}. */
  void scores(int[] keys, int at, float[] q, int qAt, int size, float[] out, int to);

  /** See {@link Attention#values}. */
  void values(
      int[] values,
      int at,
      int stride,
      int half,
      float[] weights,
      int from,
      int count,
      float[] out,
      int to);

  /** e^(x scale - most) in place. */
  void exponentials(float[] x, int count, float scale, float most);

  /** See {@link Attention#swiglu}. */
  void swiglu(float[] gate, int at, float[] up, int upAt, int count);
}

package org.moe4j.engine.kernel;

/** The inner loops of {@link Rows}; every implementation and width gives the same bits. */
interface RowKernels {
  /** Adds to 16 sums the squares of the numbers whose index leaves the same rest by 16. */
  void squares(float[] x, int at, int count, double[] sums);

  /** See {@link Rows#scale}. */
  void scale(float[] x, int at, float factor, float[] scales, int count, float[] to, int first);

  /** See {@link Rows#add}. */
  void add(float[] to, int at, float weight, float[] x, int from, int count);

  /** See {@link Rows#turn}. */
  void turn(float[] x, int at, float[] cosines, float[] sines, int angles, int half);
}

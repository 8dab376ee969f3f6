package org.moe4j.engine.kernel;

/** The inner loops of {@link BlockMatrix}. */
interface FloatKernels {
  /**
   * Rows {@code first} to {@code first + PANEL - 1} of {@code w}, as far as it has them, times rows
   * of {@code x}.
   *
   * @param rows which rows of {@code x}; {@code count} of them from index {@code from}
   * @param out receives {@value Matrix#PANEL} sums for each of them in turn
   */
  void multiply(
      BlockMatrix w, int first, Activations x, int[] rows, int from, int count, float[] out);
}

package org.moe4j.engine.model;

import org.moe4j.engine.kernel.Rows;

/**
 * Root-mean-square normalisation: x / sqrt(mean x^2 + epsilon) times {@code scales} plus {@code
 * shifts}.
 *
 * @param scales one for each number
 * @param shifts likewise; none in most models
 */
@SuppressWarnings("ArrayRecordComponent") // handed over, never compared
record Norm(float[] scales, float[] shifts) {
  /** Leaves numbers as they are. */
  static final Norm NONE = new Norm(new float[0], new float[0]);

  /** How many numbers are normalised together; 0 for none. */
  int size() {
    return scales.length;
  }

  /**
   * Normalises {@link #size} numbers.
   *
   * @param to may be x itself
   */
  void apply(float[] x, int at, float epsilon, float[] to, int first) {
    int n = scales.length;
    float factor = (float) (1 / Math.sqrt(Rows.squares(x, at, n) / n + epsilon));
    Rows.scale(x, at, factor, scales, n, to, first);
    for (int i = 0; i < shifts.length; i++) {
      to[first + i] += shifts[i];
    }
  }
}

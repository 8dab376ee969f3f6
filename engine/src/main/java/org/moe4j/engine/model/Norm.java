package org.moe4j.engine.model;

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
    double a = 0;
    double b = 0;
    double c = 0;
    double d = 0;
    int i = 0;
    for (; i + 4 <= n; i += 4) {
      a += x[at + i] * x[at + i];
      b += x[at + i + 1] * x[at + i + 1];
      c += x[at + i + 2] * x[at + i + 2];
      d += x[at + i + 3] * x[at + i + 3];
    }
    for (; i < n; i++) {
      a += x[at + i] * x[at + i];
    }
    float factor = (float) (1 / Math.sqrt((a + b + c + d) / n + epsilon));
    for (i = 0; i < n; i++) {
      to[first + i] = x[at + i] * factor * scales[i];
    }
    for (i = 0; i < shifts.length; i++) {
      to[first + i] += shifts[i];
    }
  }
}

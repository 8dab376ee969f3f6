package org.moe4j.engine.model;

/** Root-mean-square normalisation. */
final class Norm {
  private Norm() {}

  /**
   * x / sqrt(mean x^2 + epsilon) times {@code scales}, whose length is x's.
   *
   * @param to may be x itself
   */
  static void rms(float[] x, int at, float[] scales, float epsilon, float[] to, int first) {
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
  }
}

package org.moe4j.engine.kernel;

/** Rows number by number: the fallback, and what vectors must equal. */
final class RowScalars implements RowKernels {
  @Override
  public void squares(float[] x, int at, int count, double[] sums) {
    for (int i = 0; i < count; i++) {
      double number = x[at + i];
      sums[i % 16] += number * number;
    }
  }

  @Override
  public void scale(
      float[] x, int at, float factor, float[] scales, int count, float[] to, int first) {
    scale(x, at, factor, scales, count, to, first, 0);
  }

  /** Numbers {@code from} and following. */
  static void scale(
      float[] x, int at, float factor, float[] scales, int count, float[] to, int first, int from) {
    for (int i = from; i < count; i++) {
      to[first + i] = x[at + i] * factor * scales[i];
    }
  }

  @Override
  public void add(float[] to, int at, float weight, float[] x, int from, int count) {
    for (int i = 0; i < count; i++) {
      to[at + i] += weight * x[from + i];
    }
  }

  @Override
  public void turn(float[] x, int at, float[] cosines, float[] sines, int angles, int half) {
    turn(x, at, cosines, sines, angles, half, 0);
  }

  /** Pairs {@code first} and following. */
  static void turn(
      float[] x, int at, float[] cosines, float[] sines, int angles, int half, int first) {
    for (int i = first; i < half; i++) {
      float a = x[at + i];
      float b = x[at + half + i];
      x[at + i] = a * cosines[angles + i] - b * sines[angles + i];
      x[at + half + i] = a * sines[angles + i] + b * cosines[angles + i];
    }
  }
}

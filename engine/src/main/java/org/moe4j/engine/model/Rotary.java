package org.moe4j.engine.model;

/**
 * Rotary position embedding (Su et al., 2021): pair i of a head turns by position * base^(-2 i /
 * width). Angles of a step's tokens are computed once for all layers.
 */
final class Rotary {
  private final Shape shape;
  private final double[] speeds;
  private float[] cosines = {};
  private float[] sines = {};

  /** With frequencies divided by {@code divisors}, if there are any. */
  Rotary(Shape shape, float[] divisors) {
    this.shape = shape;
    speeds = new double[shape.rotated() / 2];
    for (int i = 0; i < speeds.length; i++) {
      double speed =
          StrictMath.pow(shape.ropeBase(), -2.0 * i / shape.rotated()) / shape.ropeScale();
      speeds[i] = divisors.length == 0 ? speed : speed / divisors[i];
    }
  }

  /** Angles for the first {@code count} positions of a step. */
  void prepare(int[] positions, int count) {
    if (cosines.length < count * speeds.length) {
      cosines = new float[count * speeds.length];
      sines = new float[count * speeds.length];
    }
    for (int t = 0; t < count; t++) {
      for (int i = 0; i < speeds.length; i++) {
        double angle = positions[t] * speeds[i];
        cosines[t * speeds.length + i] = (float) StrictMath.cos(angle);
        sines[t * speeds.length + i] = (float) StrictMath.sin(angle);
      }
    }
  }

  /** Turns {@code heads} heads from index {@code at} by the angles of token {@code t}. */
  void turn(float[] rows, int at, int heads, int t) {
    int half = speeds.length;
    boolean halves = shape.architecture().halves();
    for (int h = 0; h < heads; h++) {
      int head = at + h * shape.headSize();
      for (int i = 0; i < half; i++) {
        int a = head + (halves ? i : 2 * i);
        int b = head + (halves ? i + half : 2 * i + 1);
        float c = cosines[t * half + i];
        float s = sines[t * half + i];
        float first = rows[a];
        float second = rows[b];
        rows[a] = first * c - second * s;
        rows[b] = first * s + second * c;
      }
    }
  }
}

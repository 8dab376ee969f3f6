package org.moe4j.engine.model;

import org.moe4j.engine.kernel.Rows;

/**
 * Rotary position embedding (Su et al., 2021): pair i of a head turns by position times the pair's
 * speed. Angles of a step's tokens are computed once for all layers.
 */
final class Rotary {
  private final boolean halves;
  private final float magnitude;
  private final double[] speeds;
  private float[] cosines = {};
  private float[] sines = {};

  /** With frequencies divided by {@code divisors}, if there are any. */
  Rotary(RotaryShape shape, float[] divisors) {
    this.halves = shape.pairing() == Architecture.Pairing.HALVES;
    this.magnitude = (float) shape.magnitude();
    this.speeds = shape.speeds(divisors);
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
        cosines[t * speeds.length + i] = (float) StrictMath.cos(angle) * magnitude;
        sines[t * speeds.length + i] = (float) StrictMath.sin(angle) * magnitude;
      }
    }
  }

  /**
   * Turns {@code heads} heads, the first from index {@code at}, the next {@code stride} further on,
   * by the angles of token {@code t}.
   */
  void turn(float[] rows, int at, int heads, int stride, int t) {
    int angles = t * speeds.length;
    for (int h = 0; h < heads; h++) {
      if (halves) {
        Rows.turn(rows, at + h * stride, cosines, sines, angles, speeds.length);
      } else {
        turnNeighbours(rows, at + h * stride, cosines, sines, angles, speeds.length);
      }
    }
  }

  private static void turnNeighbours(
      float[] rows, int head, float[] cosines, float[] sines, int angles, int half) {
    for (int i = 0; i < half; i++) {
      float first = rows[head + 2 * i];
      float second = rows[head + 2 * i + 1];
      rows[head + 2 * i] = first * cosines[angles + i] - second * sines[angles + i];
      rows[head + 2 * i + 1] = first * sines[angles + i] + second * cosines[angles + i];
    }
  }
}

package org.moe4j.engine.kernel;

import java.util.Arrays;

/** Functions of attention's scores, and the feed-forward's activation. */
public final class Attention {
  private static final int WIDE = 16;

  private Attention() {}

  /**
   * The largest of numbers {@code from} to {@code to - 1} times {@code scale}; those around them
   * within whole vectors of 16 are overwritten.
   */
  public static float most(float[] x, int from, int to, float scale) {
    int start = from / WIDE * WIDE;
    int end = Math.ceilDiv(to, WIDE) * WIDE;
    Arrays.fill(x, start, from, Float.NEGATIVE_INFINITY);
    Arrays.fill(x, to, end, Float.NEGATIVE_INFINITY);
    return KernelChoice.ATTENTION.most(x, start, end) * scale;
  }

  /**
   * e^(x scale - most) of numbers {@code from} to {@code to - 1} in place; those around them within
   * whole vectors of 16 become 0.
   *
   * @return their sum: of each sixteenth number on its own first, whatever the width of vectors
   */
  public static float exponentials(float[] x, int from, int to, float scale, float most) {
    int start = from / WIDE * WIDE;
    int end = Math.ceilDiv(to, WIDE) * WIDE;
    KernelChoice.ATTENTION.exponentials(x, start, end, scale, most);
    Arrays.fill(x, start, from, 0f);
    Arrays.fill(x, to, end, 0f);
    float[] sums = new float[WIDE];
    KernelChoice.ATTENTION.lanes(x, start, end, sums);
    float sum = 0;
    for (float s : sums) {
      sum += s;
    }
    return sum;
  }

  /** e^x as everywhere in attention. */
  public static float exp(float x) {
    return Numbers.exp(x);
  }

  /** x = x a + y b, of {@code count} numbers (a multiple of 16). */
  public static void merge(float[] x, int at, float a, float[] y, int yAt, float b, int count) {
    KernelChoice.ATTENTION.merge(x, at, a, y, yAt, b, count);
  }

  /** gate * sigmoid(gate) * up, of {@code count} numbers (a multiple of 16), into {@code gate}. */
  public static void swiglu(float[] gate, int at, float[] up, int upAt, int count) {
    KernelChoice.ATTENTION.swiglu(gate, at, up, upAt, count);
  }
}

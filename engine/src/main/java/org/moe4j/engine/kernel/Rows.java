package org.moe4j.engine.kernel;

/** Short functions of rows of floats, of which a token takes many between its products. */
public final class Rows {
  private Rows() {}

  /**
   * The sum of squares of {@code count} numbers: of each sixteenth number on its own first, exact
   * products in double precision, whatever the width of vectors.
   */
  public static double squares(float[] x, int at, int count) {
    double[] sums = new double[16];
    KernelChoice.ROWS.squares(x, at, count, sums);
    double sum = 0;
    for (double s : sums) {
      sum += s;
    }
    return sum;
  }

  /** x times {@code factor}, then times {@code scales}, into {@code to}, which may be x. */
  public static void scale(
      float[] x, int at, float factor, float[] scales, int count, float[] to, int first) {
    KernelChoice.ROWS.scale(x, at, factor, scales, count, to, first);
  }

  /** to = to + weight x, of {@code count} numbers, each product rounded. */
  public static void add(float[] to, int at, float weight, float[] x, int from, int count) {
    KernelChoice.ROWS.add(to, at, weight, x, from, count);
  }

  /**
   * Turns pairs of numbers {@code half} apart, of which the first begin at {@code at}, by angles
   * whose cosines and sines begin at {@code angles}.
   */
  public static void turn(float[] x, int at, float[] cosines, float[] sines, int angles, int half) {
    KernelChoice.ROWS.turn(x, at, cosines, sines, angles, half);
  }
}

package org.moe4j.engine.kernel;

/**
 * Attention of one query to cached keys and values in half precision. Keys come in pages of {@value
 * #PAGE} positions: for each dimension 32 ints, of which number i holds positions i (low 16 bits)
 * and i + 32. Values come by position: {@code half} ints, number i with dimensions i and i + {@code
 * half}.
 */
public final class Attention {
  /** Positions of a page of keys. */
  public static final int PAGE = 64;

  private Attention() {}

  /** Ints that hold a value of {@code size} dimensions: half of them, in whole vectors. */
  public static int half(int size) {
    return Math.ceilDiv(size, 32) * 16;
  }

  /**
   * Products of a query with a page of keys.
   *
   * @param keys a page of one head from index {@code at}
   * @param q the query from index {@code qAt}, {@code size} numbers
   * @param out receives {@value #PAGE} products from index {@code to}
   */
  public static void scores(int[] keys, int at, float[] q, int qAt, int size, float[] out, int to) {
    KernelChoice.ATTENTION.scores(keys, at, q, qAt, size, out, to);
  }

  /**
   * Adds the weighted values of {@code count} positions.
   *
   * @param values from index {@code at} on, {@code stride} ints from one position to the next
   * @param out sums of 2 {@code half} numbers from index {@code to}
   */
  public static void values(
      int[] values,
      int at,
      int stride,
      int half,
      float[] weights,
      int from,
      int count,
      float[] out,
      int to) {
    KernelChoice.ATTENTION.values(values, at, stride, half, weights, from, count, out, to);
  }

  /**
   * Softmax of {@code count} numbers in place; room for whole vectors of 16 is needed.
   *
   * @return the sum that the numbers are still to be divided by
   */
  public static float exponentials(float[] x, int count, float scale) {
    float most = Float.NEGATIVE_INFINITY;
    for (int i = 0; i < count; i++) {
      most = Math.max(most, x[i] * scale);
    }
    KernelChoice.ATTENTION.exponentials(x, count, scale, most);
    float sum = 0;
    for (int i = 0; i < count; i++) {
      sum += x[i];
    }
    return sum;
  }

  /** gate * sigmoid(gate) * up, of {@code count} numbers (a multiple of 16), into {@code gate}. */
  public static void swiglu(float[] gate, int at, float[] up, int upAt, int count) {
    KernelChoice.ATTENTION.swiglu(gate, at, up, upAt, count);
  }
}

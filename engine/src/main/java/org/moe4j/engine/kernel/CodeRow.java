package org.moe4j.engine.kernel;

import static org.moe4j.engine.kernel.Vectors.ALL;
import static org.moe4j.engine.kernel.Vectors.F;
import static org.moe4j.engine.kernel.Vectors.L;
import static org.moe4j.engine.kernel.Vectors.floats;
import static org.moe4j.engine.kernel.Vectors.put;
import static org.moe4j.engine.kernel.Vectors.signedBytes;

import java.lang.foreign.ValueLayout;
import jdk.incubator.vector.FloatVector;

/**
 * A stretch of a quantised row in the form that all quantised types have in common: a whole number
 * of 8 bits for each column, and a scale and in some types a minimum for each sub-block of {@code
 * 2^shift} columns. The stored number is {@code scale * code - minimum}, rounded after each
 * operation.
 *
 * <p>It lies in native memory: codes, then scales at {@link #SCALES}, then minimums at {@link
 * #MINIMUMS}, then room for whoever fills it at {@link #ROOM}.
 */
final class CodeRow {
  /** The most columns. */
  static final int COLUMNS = 2048;

  /** Where scales begin. */
  static final int SCALES = COLUMNS;

  /** Where minimums begin. */
  static final int MINIMUMS = SCALES + COLUMNS / 16 * 4;

  /** 64 bytes. */
  static final int ROOM = MINIMUMS + COLUMNS / 16 * 4;

  /** Bytes of it all. */
  static final int BYTES = ROOM + 64;

  private static final ValueLayout.OfFloat FLOAT = ValueLayout.JAVA_FLOAT_UNALIGNED;

  private CodeRow() {}

  /** Sets the scale of a sub-block. */
  static void scale(long row, int block, float scale) {
    ALL.set(FLOAT, row + (SCALES + block * 4), scale);
  }

  /** Sets the minimum of a sub-block. */
  static void minimum(long row, int block, float minimum) {
    ALL.set(FLOAT, row + (MINIMUMS + block * 4), minimum);
  }

  /** The numbers themselves, of columns 0 to {@code count - 1}, as floats from {@code to}. */
  static void widen(long row, int count, int shift, long to) {
    for (int c = 0; c < count; c += 16) {
      float scale = ALL.get(FLOAT, row + (SCALES + (c >> shift) * 4));
      for (int i = 0; i < 16; i += L) {
        put(floats(signedBytes(row + c + i)).mul(scale), to + 4L * (c + i));
      }
    }
  }

  /** The same of a type with minimums. */
  static void widenLess(long row, int count, int shift, long to) {
    for (int c = 0; c < count; c += 16) {
      float scale = ALL.get(FLOAT, row + (SCALES + (c >> shift) * 4));
      float less = ALL.get(FLOAT, row + (MINIMUMS + (c >> shift) * 4));
      for (int i = 0; i < 16; i += L) {
        put(floats(signedBytes(row + c + i)).mul(scale).sub(less), to + 4L * (c + i));
      }
    }
  }

  /**
   * Adds the products of two rows with one of activations to partial sums {@code lane} and
   * following.
   *
   * @param x the activations from index {@code at}
   * @param sums those of the first row from index {@code to}, of the second {@link
   *     RowProducts#APART} further on
   */
  static void multiply(
      long first,
      long second,
      int count,
      int shift,
      int lane,
      float[] x,
      int at,
      float[] sums,
      int to) {
    FloatVector a = FloatVector.fromArray(F, sums, to + lane);
    FloatVector b = FloatVector.fromArray(F, sums, to + lane + RowProducts.APART);
    for (int c = 0; c < count; c += 16) {
      FloatVector y = FloatVector.fromArray(F, x, at + lane + c);
      long s = SCALES + (c >> shift) * 4L;
      a = floats(signedBytes(first + lane + c)).mul(ALL.get(FLOAT, first + s)).fma(y, a);
      b = floats(signedBytes(second + lane + c)).mul(ALL.get(FLOAT, second + s)).fma(y, b);
    }
    a.intoArray(sums, to + lane);
    b.intoArray(sums, to + lane + RowProducts.APART);
  }

  /** The same of a type with minimums. */
  static void multiplyLess(
      long first,
      long second,
      int count,
      int shift,
      int lane,
      float[] x,
      int at,
      float[] sums,
      int to) {
    FloatVector a = FloatVector.fromArray(F, sums, to + lane);
    FloatVector b = FloatVector.fromArray(F, sums, to + lane + RowProducts.APART);
    for (int c = 0; c < count; c += 16) {
      FloatVector y = FloatVector.fromArray(F, x, at + lane + c);
      a = less(first, c, c >> shift, lane).fma(y, a);
      b = less(second, c, c >> shift, lane).fma(y, b);
    }
    a.intoArray(sums, to + lane);
    b.intoArray(sums, to + lane + RowProducts.APART);
  }

  private static FloatVector less(long row, int c, int block, int lane) {
    return floats(signedBytes(row + c + lane))
        .mul(ALL.get(FLOAT, row + (SCALES + block * 4)))
        .sub(ALL.get(FLOAT, row + (MINIMUMS + block * 4)));
  }
}

package org.moe4j.engine.kernel;

import static org.moe4j.engine.kernel.Vectors.F;
import static org.moe4j.engine.kernel.Vectors.L;
import static org.moe4j.engine.kernel.Vectors.lowHalf;
import static org.moe4j.engine.kernel.Vectors.shorts;

import jdk.incubator.vector.FloatVector;

/**
 * The loops of {@link HalfRows} on vectors. They are long methods, which C2 does not put into a
 * caller: there their vectors became objects.
 */
final class HalfVectors {
  private HalfVectors() {}

  /** The L half-precision numbers at an address. */
  private static FloatVector numbers(long at) {
    return lowHalf(shorts(at));
  }

  /**
   * One row of weights, all columns.
   *
   * @param row address of row {@code from}
   * @param bytes from a row to the next
   * @param w weight of row {@code from} at {@code w0}
   */
  static void one(
      long row, long bytes, int columns, float[] w, int w0, int count, float[] out, int to) {
    int c = 0;
    for (; c + 4 * L <= columns; c += 4 * L) {
      FloatVector a = FloatVector.fromArray(F, out, to + c);
      FloatVector b = FloatVector.fromArray(F, out, to + c + L);
      FloatVector d = FloatVector.fromArray(F, out, to + c + 2 * L);
      FloatVector e = FloatVector.fromArray(F, out, to + c + 3 * L);
      long x = row + 2L * c;
      for (int i = 0; i < count; i++) {
        FloatVector y = FloatVector.broadcast(F, w[w0 + i]);
        a = numbers(x).fma(y, a);
        b = numbers(x + 2L * L).fma(y, b);
        d = numbers(x + 4L * L).fma(y, d);
        e = numbers(x + 6L * L).fma(y, e);
        x += bytes;
      }
      a.intoArray(out, to + c);
      b.intoArray(out, to + c + L);
      d.intoArray(out, to + c + 2 * L);
      e.intoArray(out, to + c + 3 * L);
    }
    for (; c < columns; c += L) {
      FloatVector a = FloatVector.fromArray(F, out, to + c);
      long x = row + 2L * c;
      for (int i = 0; i < count; i++) {
        a = numbers(x).fma(FloatVector.broadcast(F, w[w0 + i]), a);
        x += bytes;
      }
      a.intoArray(out, to + c);
    }
  }

  /** Four rows of weights, 2 L columns. */
  static void four(
      long row,
      long bytes,
      float[] w,
      int w0,
      int wStride,
      int count,
      float[] out,
      int to,
      int stride) {
    FloatVector a0 = FloatVector.fromArray(F, out, to);
    FloatVector b0 = FloatVector.fromArray(F, out, to + L);
    FloatVector a1 = FloatVector.fromArray(F, out, to + stride);
    FloatVector b1 = FloatVector.fromArray(F, out, to + stride + L);
    FloatVector a2 = FloatVector.fromArray(F, out, to + 2 * stride);
    FloatVector b2 = FloatVector.fromArray(F, out, to + 2 * stride + L);
    FloatVector a3 = FloatVector.fromArray(F, out, to + 3 * stride);
    FloatVector b3 = FloatVector.fromArray(F, out, to + 3 * stride + L);
    long x = row;
    for (int i = w0; i < w0 + count; i++) {
      FloatVector near = numbers(x);
      FloatVector far = numbers(x + 2L * L);
      FloatVector y = FloatVector.broadcast(F, w[i]);
      a0 = near.fma(y, a0);
      b0 = far.fma(y, b0);
      y = FloatVector.broadcast(F, w[i + wStride]);
      a1 = near.fma(y, a1);
      b1 = far.fma(y, b1);
      y = FloatVector.broadcast(F, w[i + 2 * wStride]);
      a2 = near.fma(y, a2);
      b2 = far.fma(y, b2);
      y = FloatVector.broadcast(F, w[i + 3 * wStride]);
      a3 = near.fma(y, a3);
      b3 = far.fma(y, b3);
      x += bytes;
    }
    a0.intoArray(out, to);
    b0.intoArray(out, to + L);
    a1.intoArray(out, to + stride);
    b1.intoArray(out, to + stride + L);
    a2.intoArray(out, to + 2 * stride);
    b2.intoArray(out, to + 2 * stride + L);
    a3.intoArray(out, to + 3 * stride);
    b3.intoArray(out, to + 3 * stride + L);
  }
}

package org.moe4j.engine.kernel;

import static org.moe4j.engine.kernel.Vectors.ALL;
import static org.moe4j.engine.kernel.Vectors.F;
import static org.moe4j.engine.kernel.Vectors.I;
import static org.moe4j.engine.kernel.Vectors.L;
import static org.moe4j.engine.kernel.Vectors.LE;
import static org.moe4j.engine.kernel.Vectors.highHalf;
import static org.moe4j.engine.kernel.Vectors.lowHalf;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;

/**
 * The loops of {@link AttentionVectors} over {@link HalfHeads}. Sums of values are one long method,
 * which C2 does not put into a caller: there its vectors became objects.
 */
final class HalfVectors {
  private HalfVectors() {}

  /** One query with positions 0 to 2 L - 1 of each half page. */
  static void scores(long keys, int size, float[] q, int q0, float[] out, int to) {
    FloatVector a = FloatVector.zero(F);
    FloatVector b = a;
    FloatVector c = a;
    FloatVector e = a;
    for (int d = 0; d < size; d++) {
      IntVector near = IntVector.fromMemorySegment(I, ALL, keys + d * 128L, LE);
      IntVector far = IntVector.fromMemorySegment(I, ALL, keys + d * 128L + 4L * L, LE);
      FloatVector y = FloatVector.broadcast(F, q[q0 + d]);
      a = lowHalf(near).fma(y, a);
      b = highHalf(near).fma(y, b);
      c = lowHalf(far).fma(y, c);
      e = highHalf(far).fma(y, e);
    }
    a.intoArray(out, to);
    b.intoArray(out, to + 32);
    c.intoArray(out, to + L);
    e.intoArray(out, to + L + 32);
  }

  /** Four queries with positions 0 to L - 1 of each half page. */
  static void fourScores(long keys, int size, float[] q, int q0, float[] out, int to, int stride) {
    FloatVector a0 = FloatVector.zero(F);
    FloatVector a1 = a0;
    FloatVector a2 = a0;
    FloatVector a3 = a0;
    FloatVector b0 = a0;
    FloatVector b1 = a0;
    FloatVector b2 = a0;
    FloatVector b3 = a0;
    int d = 0;
    for (long k = keys, end = keys + size * 128L; k != end; k += 128) {
      IntVector both = IntVector.fromMemorySegment(I, ALL, k, LE);
      FloatVector low = lowHalf(both);
      FloatVector high = highHalf(both);
      FloatVector y = FloatVector.broadcast(F, q[q0 + d]);
      a0 = low.fma(y, a0);
      b0 = high.fma(y, b0);
      y = FloatVector.broadcast(F, q[q0 + size + d]);
      a1 = low.fma(y, a1);
      b1 = high.fma(y, b1);
      y = FloatVector.broadcast(F, q[q0 + 2 * size + d]);
      a2 = low.fma(y, a2);
      b2 = high.fma(y, b2);
      y = FloatVector.broadcast(F, q[q0 + 3 * size + d++]);
      a3 = low.fma(y, a3);
      b3 = high.fma(y, b3);
    }
    a0.intoArray(out, to);
    b0.intoArray(out, to + 32);
    a1.intoArray(out, to + stride);
    b1.intoArray(out, to + stride + 32);
    a2.intoArray(out, to + 2 * stride);
    b2.intoArray(out, to + 2 * stride + 32);
    a3.intoArray(out, to + 3 * stride);
    b3.intoArray(out, to + 3 * stride + 32);
  }

  /** All dimensions of values, 2 L of each half at a time. */
  static void values(
      long first, int half, float[] w, int w0, int from, int end, float[] out, int sums) {
    int lane = 0;
    for (; lane + 2 * L <= half; lane += 2 * L) {
      int to = sums + lane;
      FloatVector a = FloatVector.fromArray(F, out, to);
      FloatVector b = FloatVector.fromArray(F, out, to + half);
      FloatVector c = FloatVector.fromArray(F, out, to + L);
      FloatVector e = FloatVector.fromArray(F, out, to + L + half);
      for (int p = from; p < end; p++) {
        long value = first + lane * 4L + (long) p * half * 4;
        IntVector near = IntVector.fromMemorySegment(I, ALL, value, LE);
        IntVector far = IntVector.fromMemorySegment(I, ALL, value + 4L * L, LE);
        FloatVector y = FloatVector.broadcast(F, w[w0 + p]);
        a = lowHalf(near).fma(y, a);
        b = highHalf(near).fma(y, b);
        c = lowHalf(far).fma(y, c);
        e = highHalf(far).fma(y, e);
      }
      a.intoArray(out, to);
      b.intoArray(out, to + half);
      c.intoArray(out, to + L);
      e.intoArray(out, to + L + half);
    }
    if (lane < half) {
      int to = sums + lane;
      FloatVector a = FloatVector.fromArray(F, out, to);
      FloatVector b = FloatVector.fromArray(F, out, to + half);
      for (int p = from; p < end; p++) {
        long value = first + lane * 4L + (long) p * half * 4;
        IntVector both = IntVector.fromMemorySegment(I, ALL, value, LE);
        FloatVector y = FloatVector.broadcast(F, w[w0 + p]);
        a = lowHalf(both).fma(y, a);
        b = highHalf(both).fma(y, b);
      }
      a.intoArray(out, to);
      b.intoArray(out, to + half);
    }
  }

  /** Dimensions 0 to L - 1 of each half of values for four rows of weights. */
  static void fourValues(
      long values,
      int half,
      float[] w,
      int w0,
      int stride,
      int from,
      int end,
      float[] out,
      int to) {
    FloatVector a0 = FloatVector.fromArray(F, out, to);
    FloatVector b0 = FloatVector.fromArray(F, out, to + half);
    FloatVector a1 = FloatVector.fromArray(F, out, to + 2 * half);
    FloatVector b1 = FloatVector.fromArray(F, out, to + 3 * half);
    FloatVector a2 = FloatVector.fromArray(F, out, to + 4 * half);
    FloatVector b2 = FloatVector.fromArray(F, out, to + 5 * half);
    FloatVector a3 = FloatVector.fromArray(F, out, to + 6 * half);
    FloatVector b3 = FloatVector.fromArray(F, out, to + 7 * half);
    long bytes = half * 4L;
    int p = from;
    for (long v = values + from * bytes, last = values + end * bytes; v != last; v += bytes) {
      IntVector both = IntVector.fromMemorySegment(I, ALL, v, LE);
      FloatVector low = lowHalf(both);
      FloatVector high = highHalf(both);
      FloatVector y = FloatVector.broadcast(F, w[w0 + p]);
      a0 = low.fma(y, a0);
      b0 = high.fma(y, b0);
      y = FloatVector.broadcast(F, w[w0 + stride + p]);
      a1 = low.fma(y, a1);
      b1 = high.fma(y, b1);
      y = FloatVector.broadcast(F, w[w0 + 2 * stride + p]);
      a2 = low.fma(y, a2);
      b2 = high.fma(y, b2);
      y = FloatVector.broadcast(F, w[w0 + 3 * stride + p++]);
      a3 = low.fma(y, a3);
      b3 = high.fma(y, b3);
    }
    a0.intoArray(out, to);
    b0.intoArray(out, to + half);
    a1.intoArray(out, to + 2 * half);
    b1.intoArray(out, to + 3 * half);
    a2.intoArray(out, to + 4 * half);
    b2.intoArray(out, to + 5 * half);
    a3.intoArray(out, to + 6 * half);
    b3.intoArray(out, to + 7 * half);
  }
}

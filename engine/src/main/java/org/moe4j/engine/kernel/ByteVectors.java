package org.moe4j.engine.kernel;

import static jdk.incubator.vector.VectorOperators.ASHR;
import static jdk.incubator.vector.VectorOperators.LSHL;
import static org.moe4j.engine.kernel.Vectors.ALL;
import static org.moe4j.engine.kernel.Vectors.F;
import static org.moe4j.engine.kernel.Vectors.I;
import static org.moe4j.engine.kernel.Vectors.L;
import static org.moe4j.engine.kernel.Vectors.LE;
import static org.moe4j.engine.kernel.Vectors.floats;

import java.lang.foreign.ValueLayout;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;

/** The loops of {@link AttentionVectors} over {@link ByteHeads}. */
final class ByteVectors {
  private ByteVectors() {}

  private static FloatVector scales(long at, int i) {
    return FloatVector.fromMemorySegment(F, ALL, at + i * 4L, LE);
  }

  /** One query with all positions of a page. */
  static void scores(long page, int size, float[] q, int q0, long units, float[] out, int first) {
    for (int lane = 0; lane < 16; lane += L) {
      long keys = page + lane * 4L;
      FloatVector a = FloatVector.zero(F);
      FloatVector b = a;
      FloatVector c = a;
      FloatVector e = a;
      int d = 0;
      for (; d + 2 <= size; d += 2) {
        IntVector four = IntVector.fromMemorySegment(I, ALL, keys + d * 64L, LE);
        FloatVector y = FloatVector.broadcast(F, q[q0 + d]);
        a = floats(four.lanewise(LSHL, 24).lanewise(ASHR, 24)).fma(y, a);
        b = floats(four.lanewise(LSHL, 16).lanewise(ASHR, 24)).fma(y, b);
        c = floats(four.lanewise(LSHL, 8).lanewise(ASHR, 24)).fma(y, c);
        e = floats(four.lanewise(ASHR, 24)).fma(y, e);
        four = IntVector.fromMemorySegment(I, ALL, keys + (d + 1) * 64L, LE);
        y = FloatVector.broadcast(F, q[q0 + d + 1]);
        a = floats(four.lanewise(LSHL, 24).lanewise(ASHR, 24)).fma(y, a);
        b = floats(four.lanewise(LSHL, 16).lanewise(ASHR, 24)).fma(y, b);
        c = floats(four.lanewise(LSHL, 8).lanewise(ASHR, 24)).fma(y, c);
        e = floats(four.lanewise(ASHR, 24)).fma(y, e);
      }
      if (d < size) {
        IntVector four = IntVector.fromMemorySegment(I, ALL, keys + d * 64L, LE);
        FloatVector y = FloatVector.broadcast(F, q[q0 + d]);
        a = floats(four.lanewise(LSHL, 24).lanewise(ASHR, 24)).fma(y, a);
        b = floats(four.lanewise(LSHL, 16).lanewise(ASHR, 24)).fma(y, b);
        c = floats(four.lanewise(LSHL, 8).lanewise(ASHR, 24)).fma(y, c);
        e = floats(four.lanewise(ASHR, 24)).fma(y, e);
      }
      int to = first + lane;
      long unit = units + lane * 4L;
      a.mul(scales(unit, 0)).intoArray(out, to);
      b.mul(scales(unit, 16)).intoArray(out, to + 16);
      c.mul(scales(unit, 32)).intoArray(out, to + 32);
      e.mul(scales(unit, 48)).intoArray(out, to + 48);
    }
  }

  /**
   * Four queries with positions 0 to L - 1 of two neighbouring quarters of a page.
   *
   * @param shift puts the first one's byte on top, 8 less the second one's
   */
  static void fourScores(
      long keys,
      int shift,
      int size,
      float[] q,
      int q0,
      long units,
      float[] out,
      int to,
      int stride) {
    FloatVector a0 = FloatVector.zero(F);
    FloatVector a1 = a0;
    FloatVector a2 = a0;
    FloatVector a3 = a0;
    FloatVector b0 = a0;
    FloatVector b1 = a0;
    FloatVector b2 = a0;
    FloatVector b3 = a0;
    for (int d = 0; d < size; d++) {
      IntVector four = IntVector.fromMemorySegment(I, ALL, keys + d * 64L, LE);
      FloatVector low = floats(four.lanewise(LSHL, shift).lanewise(ASHR, 24));
      FloatVector high = floats(four.lanewise(LSHL, shift - 8).lanewise(ASHR, 24));
      FloatVector y = FloatVector.broadcast(F, q[q0 + d]);
      a0 = low.fma(y, a0);
      b0 = high.fma(y, b0);
      y = FloatVector.broadcast(F, q[q0 + size + d]);
      a1 = low.fma(y, a1);
      b1 = high.fma(y, b1);
      y = FloatVector.broadcast(F, q[q0 + 2 * size + d]);
      a2 = low.fma(y, a2);
      b2 = high.fma(y, b2);
      y = FloatVector.broadcast(F, q[q0 + 3 * size + d]);
      a3 = low.fma(y, a3);
      b3 = high.fma(y, b3);
    }
    FloatVector low = scales(units, 0);
    FloatVector high = scales(units, 16);
    a0.mul(low).intoArray(out, to);
    b0.mul(high).intoArray(out, to + 16);
    a1.mul(low).intoArray(out, to + stride);
    b1.mul(high).intoArray(out, to + stride + 16);
    a2.mul(low).intoArray(out, to + 2 * stride);
    b2.mul(high).intoArray(out, to + 2 * stride + 16);
    a3.mul(low).intoArray(out, to + 3 * stride);
    b3.mul(high).intoArray(out, to + 3 * stride + 16);
  }

  /** All dimensions of values, L of each quarter at a time. */
  static void values(
      long first,
      int quarter,
      float[] w,
      int w0,
      long units,
      int from,
      int end,
      float[] out,
      int sums) {
    for (int lane = 0; lane < quarter; lane += L) {
      long value = first + lane * 4L;
      int to = sums + lane;
      FloatVector a = FloatVector.fromArray(F, out, to);
      FloatVector b = FloatVector.fromArray(F, out, to + quarter);
      FloatVector c = FloatVector.fromArray(F, out, to + 2 * quarter);
      FloatVector e = FloatVector.fromArray(F, out, to + 3 * quarter);
      int p = from;
      for (; p + 2 <= end; p += 2) {
        IntVector four = IntVector.fromMemorySegment(I, ALL, value + (long) p * quarter * 4, LE);
        FloatVector y = FloatVector.broadcast(F, w[w0 + p] * unit(units, p));
        a = floats(four.lanewise(LSHL, 24).lanewise(ASHR, 24)).fma(y, a);
        b = floats(four.lanewise(LSHL, 16).lanewise(ASHR, 24)).fma(y, b);
        c = floats(four.lanewise(LSHL, 8).lanewise(ASHR, 24)).fma(y, c);
        e = floats(four.lanewise(ASHR, 24)).fma(y, e);
        four = IntVector.fromMemorySegment(I, ALL, value + (long) (p + 1) * quarter * 4, LE);
        y = FloatVector.broadcast(F, w[w0 + p + 1] * unit(units, p + 1));
        a = floats(four.lanewise(LSHL, 24).lanewise(ASHR, 24)).fma(y, a);
        b = floats(four.lanewise(LSHL, 16).lanewise(ASHR, 24)).fma(y, b);
        c = floats(four.lanewise(LSHL, 8).lanewise(ASHR, 24)).fma(y, c);
        e = floats(four.lanewise(ASHR, 24)).fma(y, e);
      }
      if (p < end) {
        IntVector four = IntVector.fromMemorySegment(I, ALL, value + (long) p * quarter * 4, LE);
        FloatVector y = FloatVector.broadcast(F, w[w0 + p] * unit(units, p));
        a = floats(four.lanewise(LSHL, 24).lanewise(ASHR, 24)).fma(y, a);
        b = floats(four.lanewise(LSHL, 16).lanewise(ASHR, 24)).fma(y, b);
        c = floats(four.lanewise(LSHL, 8).lanewise(ASHR, 24)).fma(y, c);
        e = floats(four.lanewise(ASHR, 24)).fma(y, e);
      }
      a.intoArray(out, to);
      b.intoArray(out, to + quarter);
      c.intoArray(out, to + 2 * quarter);
      e.intoArray(out, to + 3 * quarter);
    }
  }

  private static float unit(long units, int p) {
    return ALL.get(ValueLayout.JAVA_FLOAT_UNALIGNED, units + p * 4L);
  }

  /**
   * L of each of two neighbouring quarters of values for four rows of weights; {@code shift} as of
   * scores.
   */
  static void fourValues(
      long values,
      int shift,
      int quarter,
      float[] w,
      int w0,
      int stride,
      long units,
      int from,
      int end,
      float[] out,
      int to) {
    FloatVector a0 = FloatVector.fromArray(F, out, to);
    FloatVector b0 = FloatVector.fromArray(F, out, to + quarter);
    FloatVector a1 = FloatVector.fromArray(F, out, to + 4 * quarter);
    FloatVector b1 = FloatVector.fromArray(F, out, to + 5 * quarter);
    FloatVector a2 = FloatVector.fromArray(F, out, to + 8 * quarter);
    FloatVector b2 = FloatVector.fromArray(F, out, to + 9 * quarter);
    FloatVector a3 = FloatVector.fromArray(F, out, to + 12 * quarter);
    FloatVector b3 = FloatVector.fromArray(F, out, to + 13 * quarter);
    for (int p = from; p < end; p++) {
      IntVector four = IntVector.fromMemorySegment(I, ALL, values + (long) p * quarter * 4, LE);
      FloatVector low = floats(four.lanewise(LSHL, shift).lanewise(ASHR, 24));
      FloatVector high = floats(four.lanewise(LSHL, shift - 8).lanewise(ASHR, 24));
      float unit = unit(units, p);
      FloatVector y = FloatVector.broadcast(F, w[w0 + p] * unit);
      a0 = low.fma(y, a0);
      b0 = high.fma(y, b0);
      y = FloatVector.broadcast(F, w[w0 + stride + p] * unit);
      a1 = low.fma(y, a1);
      b1 = high.fma(y, b1);
      y = FloatVector.broadcast(F, w[w0 + 2 * stride + p] * unit);
      a2 = low.fma(y, a2);
      b2 = high.fma(y, b2);
      y = FloatVector.broadcast(F, w[w0 + 3 * stride + p] * unit);
      a3 = low.fma(y, a3);
      b3 = high.fma(y, b3);
    }
    a0.intoArray(out, to);
    b0.intoArray(out, to + quarter);
    a1.intoArray(out, to + 4 * quarter);
    b1.intoArray(out, to + 5 * quarter);
    a2.intoArray(out, to + 8 * quarter);
    b2.intoArray(out, to + 9 * quarter);
    a3.intoArray(out, to + 12 * quarter);
    b3.intoArray(out, to + 13 * quarter);
  }
}

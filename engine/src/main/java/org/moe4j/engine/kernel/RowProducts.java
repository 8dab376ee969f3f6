package org.moe4j.engine.kernel;

import static jdk.incubator.vector.VectorOperators.LSHL;
import static jdk.incubator.vector.VectorOperators.LSHR;
import static org.moe4j.engine.kernel.Vectors.ALL;
import static org.moe4j.engine.kernel.Vectors.F;
import static org.moe4j.engine.kernel.Vectors.LE;
import static org.moe4j.engine.kernel.Vectors.floats;
import static org.moe4j.engine.kernel.Vectors.half;
import static org.moe4j.engine.kernel.Vectors.mayFault;
import static org.moe4j.engine.kernel.Vectors.scale;
import static org.moe4j.engine.kernel.Vectors.shorts;
import static org.moe4j.engine.kernel.Vectors.signedBytes;
import static org.moe4j.engine.kernel.Vectors.unsigned;

import java.lang.foreign.ValueLayout;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;

/**
 * Partial sums of two stored rows with one row of activations, unpacked in registers: what {@link
 * Unpacker} and {@link FloatTiles#one} give, in one pass.
 */
final class RowProducts {
  /** Places in sums from one row to the other. */
  static final int APART = 32 * BlockMatrix.PARTIALS;

  private static final ValueLayout.OfFloat FLOAT = ValueLayout.JAVA_FLOAT_UNALIGNED;

  private RowProducts() {}

  static void f32(long w, long v, float[] x, int at, int columns, int lane, float[] sums, int to) {
    mayFault();
    FloatVector a = FloatVector.zero(F);
    FloatVector b = a;
    for (int c = lane; c < columns; c += 16) {
      FloatVector y = FloatVector.fromArray(F, x, at + c);
      a = FloatVector.fromMemorySegment(F, ALL, w + c * 4L, LE).fma(y, a);
      b = FloatVector.fromMemorySegment(F, ALL, v + c * 4L, LE).fma(y, b);
    }
    a.intoArray(sums, to);
    b.intoArray(sums, to + APART);
  }

  static void f16(long w, long v, float[] x, int at, int columns, int lane, float[] sums, int to) {
    FloatVector a = FloatVector.zero(F);
    FloatVector b = a;
    for (int c = lane; c < columns; c += 16) {
      FloatVector y = FloatVector.fromArray(F, x, at + c);
      a = half(shorts(w + c * 2L)).fma(y, a);
      b = half(shorts(v + c * 2L)).fma(y, b);
    }
    a.intoArray(sums, to);
    b.intoArray(sums, to + APART);
  }

  static void bf16(long w, long v, float[] x, int at, int columns, int lane, float[] sums, int to) {
    FloatVector a = FloatVector.zero(F);
    FloatVector b = a;
    for (int c = lane; c < columns; c += 16) {
      FloatVector y = FloatVector.fromArray(F, x, at + c);
      a = shorts(w + c * 2L).lanewise(LSHL, 16).reinterpretAsFloats().fma(y, a);
      b = shorts(v + c * 2L).lanewise(LSHL, 16).reinterpretAsFloats().fma(y, b);
    }
    a.intoArray(sums, to);
    b.intoArray(sums, to + APART);
  }

  static void q80(long w, long v, float[] x, int at, int columns, int lane, float[] sums, int to) {
    FloatVector a = FloatVector.zero(F);
    FloatVector b = a;
    for (int k = 0; k < columns; k += 32) {
      long o = (long) k + (k >> 4);
      float d = scale(w + o);
      float e = scale(v + o);
      for (int c = 0; c < 32; c += 16) {
        FloatVector y = FloatVector.fromArray(F, x, at + lane + k + c);
        a = floats(signedBytes(w + o + (2 + lane + c))).mul(d).fma(y, a);
        b = floats(signedBytes(v + o + (2 + lane + c))).mul(e).fma(y, b);
      }
    }
    a.intoArray(sums, to);
    b.intoArray(sums, to + APART);
  }

  /** Q4_0 and IQ4_NL: halves of bytes choose from a table of 16 numbers, one for each lane. */
  static void table(
      long w, long v, float[] numbers, float[] x, int at, int columns, float[] sums, int to) {
    FloatVector table = FloatVector.fromArray(F, numbers, 0);
    FloatVector a = FloatVector.zero(F);
    FloatVector b = a;
    for (int k = 0; k < columns; k += 32) {
      long o = (k >> 5) * 18L;
      IntVector d = table.mul(scale(w + o)).reinterpretAsInts();
      IntVector e = table.mul(scale(v + o)).reinterpretAsInts();
      IntVector p = signedBytes(w + o + 2);
      IntVector q = signedBytes(v + o + 2);
      FloatVector y = FloatVector.fromArray(F, x, at + k);
      a = chosen(p, d).fma(y, a);
      b = chosen(q, e).fma(y, b);
      y = FloatVector.fromArray(F, x, at + k + 16);
      a = chosen(p.lanewise(LSHR, 4), d).fma(y, a);
      b = chosen(q.lanewise(LSHR, 4), e).fma(y, b);
    }
    a.intoArray(sums, to);
    b.intoArray(sums, to + APART);
  }

  /** The same of MXFP4, whose scales are powers of two. */
  static void mxfp4(
      long w, long v, float[] numbers, float[] x, int at, int columns, float[] sums, int to) {
    FloatVector table = FloatVector.fromArray(F, numbers, 0);
    FloatVector a = FloatVector.zero(F);
    FloatVector b = a;
    for (int k = 0; k < columns; k += 32) {
      long o = (k >> 5) * 17L;
      IntVector d = table.mul(SmallCodes.halfPower(unsigned(w + o))).reinterpretAsInts();
      IntVector e = table.mul(SmallCodes.halfPower(unsigned(v + o))).reinterpretAsInts();
      IntVector p = signedBytes(w + o + 1);
      IntVector q = signedBytes(v + o + 1);
      FloatVector y = FloatVector.fromArray(F, x, at + k);
      a = chosen(p, d).fma(y, a);
      b = chosen(q, e).fma(y, b);
      y = FloatVector.fromArray(F, x, at + k + 16);
      a = chosen(p.lanewise(LSHR, 4), d).fma(y, a);
      b = chosen(q.lanewise(LSHR, 4), e).fma(y, b);
    }
    a.intoArray(sums, to);
    b.intoArray(sums, to + APART);
  }

  private static FloatVector chosen(IntVector codes, IntVector table) {
    return codes.and(15).selectFrom(table).reinterpretAsFloats();
  }

  /**
   * Q4_K, of one row; adds to the sums.
   *
   * @param s its scales and minimums, in a {@link CodeRow}
   * @param numbers 0 to 15
   */
  static void q4k(
      long w, long s, float[] numbers, float[] x, int at, int columns, float[] sums, int to) {
    FloatVector table = FloatVector.fromArray(F, numbers, 0);
    FloatVector a = FloatVector.fromArray(F, sums, to);
    for (int k = 0; k < columns; k += 64) {
      long o = w + ((k >> 8) * 144L + 16 + ((k >> 1) & 0x60));
      long i = s + (k >> 5) * 4L;
      IntVector d = less(table, i);
      IntVector e = less(table, i + 4);
      IntVector p = signedBytes(o);
      IntVector q = signedBytes(o + 16);
      a = chosen(p, d).fma(FloatVector.fromArray(F, x, at + k), a);
      a = chosen(q, d).fma(FloatVector.fromArray(F, x, at + k + 16), a);
      a = chosen(p.lanewise(LSHR, 4), e).fma(FloatVector.fromArray(F, x, at + k + 32), a);
      a = chosen(q.lanewise(LSHR, 4), e).fma(FloatVector.fromArray(F, x, at + k + 48), a);
    }
    a.intoArray(sums, to);
  }

  private static IntVector less(FloatVector table, long at) {
    return table
        .mul(ALL.get(FLOAT, at + CodeRow.SCALES))
        .sub(ALL.get(FLOAT, at + CodeRow.MINIMUMS))
        .reinterpretAsInts();
  }
}

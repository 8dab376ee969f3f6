package org.moe4j.engine.kernel;

import static jdk.incubator.vector.VectorOperators.LSHL;
import static org.moe4j.engine.kernel.Vectors.ALL;
import static org.moe4j.engine.kernel.Vectors.F;
import static org.moe4j.engine.kernel.Vectors.LE;
import static org.moe4j.engine.kernel.Vectors.floats;
import static org.moe4j.engine.kernel.Vectors.half;
import static org.moe4j.engine.kernel.Vectors.scale;
import static org.moe4j.engine.kernel.Vectors.shorts;
import static org.moe4j.engine.kernel.Vectors.signedBytes;

import jdk.incubator.vector.FloatVector;

/**
 * Partial sums of two stored rows with one row of activations, unpacked in registers: what {@link
 * Unpacker} and {@link FloatTiles#one} give, in one pass.
 */
final class RowProducts {
  /** Places in sums from one row to the other. */
  static final int APART = 32 * BlockMatrix.PARTIALS;

  private RowProducts() {}

  static void f32(
      long w, long v, float[] x, int at, int columns, int lane, float[] sums, int to) {
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

  static void f16(
      long w, long v, float[] x, int at, int columns, int lane, float[] sums, int to) {
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

  static void bf16(
      long w, long v, float[] x, int at, int columns, int lane, float[] sums, int to) {
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

  static void q80(
      long w, long v, float[] x, int at, int columns, int lane, float[] sums, int to) {
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
}

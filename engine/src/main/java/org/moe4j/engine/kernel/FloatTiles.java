package org.moe4j.engine.kernel;

import static org.moe4j.engine.kernel.Vectors.ALL;
import static org.moe4j.engine.kernel.Vectors.F;
import static org.moe4j.engine.kernel.Vectors.L;
import static org.moe4j.engine.kernel.Vectors.LE;

import jdk.incubator.vector.FloatVector;

/**
 * Products of four unpacked rows of weights with rows of activations, as 16 partial sums each:
 * partial p adds columns p, p + 16, ... in order.
 */
final class FloatTiles {
  private FloatTiles() {}

  /**
   * Adds columns 0 to {@code columns - 1}, a multiple of 16.
   *
   * @param w address of four rows, {@code stride} bytes apart
   * @param x where the activations begin at {@code x0} to {@code x3}
   * @param sums of the four rows and the first of x, then of the second, ...: 16 times 16 numbers
   *     from index {@code at}
   */
  static void four(
      long w,
      long stride,
      float[] x,
      int x0,
      int x1,
      int x2,
      int x3,
      int columns,
      float[] sums,
      int at) {
    for (int lane = 0; lane < 16; lane += L) {
      lanes(w, stride, x, x0, x1, x2, x3, lane, columns, sums, at + lane);
    }
  }

  private static void lanes(
      long w,
      long stride,
      float[] x,
      int x0,
      int x1,
      int x2,
      int x3,
      int first,
      int columns,
      float[] sums,
      int at) {
    FloatVector a0 = FloatVector.fromArray(F, sums, at);
    FloatVector a1 = FloatVector.fromArray(F, sums, at + 16);
    FloatVector a2 = FloatVector.fromArray(F, sums, at + 32);
    FloatVector a3 = FloatVector.fromArray(F, sums, at + 48);
    FloatVector b0 = FloatVector.fromArray(F, sums, at + 64);
    FloatVector b1 = FloatVector.fromArray(F, sums, at + 80);
    FloatVector b2 = FloatVector.fromArray(F, sums, at + 96);
    FloatVector b3 = FloatVector.fromArray(F, sums, at + 112);
    FloatVector c0 = FloatVector.fromArray(F, sums, at + 128);
    FloatVector c1 = FloatVector.fromArray(F, sums, at + 144);
    FloatVector c2 = FloatVector.fromArray(F, sums, at + 160);
    FloatVector c3 = FloatVector.fromArray(F, sums, at + 176);
    FloatVector d0 = FloatVector.fromArray(F, sums, at + 192);
    FloatVector d1 = FloatVector.fromArray(F, sums, at + 208);
    FloatVector d2 = FloatVector.fromArray(F, sums, at + 224);
    FloatVector d3 = FloatVector.fromArray(F, sums, at + 240);
    for (int c = first; c < columns; c += 16) {
      FloatVector w0 = FloatVector.fromMemorySegment(F, ALL, w + c * 4L, LE);
      FloatVector w1 = FloatVector.fromMemorySegment(F, ALL, w + stride + c * 4L, LE);
      FloatVector w2 = FloatVector.fromMemorySegment(F, ALL, w + 2 * stride + c * 4L, LE);
      FloatVector w3 = FloatVector.fromMemorySegment(F, ALL, w + 3 * stride + c * 4L, LE);
      FloatVector y = FloatVector.fromArray(F, x, x0 + c);
      a0 = w0.fma(y, a0);
      a1 = w1.fma(y, a1);
      a2 = w2.fma(y, a2);
      a3 = w3.fma(y, a3);
      y = FloatVector.fromArray(F, x, x1 + c);
      b0 = w0.fma(y, b0);
      b1 = w1.fma(y, b1);
      b2 = w2.fma(y, b2);
      b3 = w3.fma(y, b3);
      y = FloatVector.fromArray(F, x, x2 + c);
      c0 = w0.fma(y, c0);
      c1 = w1.fma(y, c1);
      c2 = w2.fma(y, c2);
      c3 = w3.fma(y, c3);
      y = FloatVector.fromArray(F, x, x3 + c);
      d0 = w0.fma(y, d0);
      d1 = w1.fma(y, d1);
      d2 = w2.fma(y, d2);
      d3 = w3.fma(y, d3);
    }
    a0.intoArray(sums, at);
    a1.intoArray(sums, at + 16);
    a2.intoArray(sums, at + 32);
    a3.intoArray(sums, at + 48);
    b0.intoArray(sums, at + 64);
    b1.intoArray(sums, at + 80);
    b2.intoArray(sums, at + 96);
    b3.intoArray(sums, at + 112);
    c0.intoArray(sums, at + 128);
    c1.intoArray(sums, at + 144);
    c2.intoArray(sums, at + 160);
    c3.intoArray(sums, at + 176);
    d0.intoArray(sums, at + 192);
    d1.intoArray(sums, at + 208);
    d2.intoArray(sums, at + 224);
    d3.intoArray(sums, at + 240);
  }

  /** The same with one row of activations. */
  static void one(long w, long stride, float[] x, int x0, int columns, float[] sums, int at) {
    for (int lane = 0; lane < 16; lane += L) {
      oneLanes(w, stride, x, x0, lane, columns, sums, at + lane);
    }
  }

  private static void oneLanes(
      long w, long stride, float[] x, int x0, int first, int columns, float[] sums, int at) {
    FloatVector a0 = FloatVector.fromArray(F, sums, at);
    FloatVector a1 = FloatVector.fromArray(F, sums, at + 16);
    FloatVector a2 = FloatVector.fromArray(F, sums, at + 32);
    FloatVector a3 = FloatVector.fromArray(F, sums, at + 48);
    for (int c = first; c < columns; c += 16) {
      FloatVector y = FloatVector.fromArray(F, x, x0 + c);
      a0 = FloatVector.fromMemorySegment(F, ALL, w + c * 4L, LE).fma(y, a0);
      a1 = FloatVector.fromMemorySegment(F, ALL, w + stride + c * 4L, LE).fma(y, a1);
      a2 = FloatVector.fromMemorySegment(F, ALL, w + 2 * stride + c * 4L, LE).fma(y, a2);
      a3 = FloatVector.fromMemorySegment(F, ALL, w + 3 * stride + c * 4L, LE).fma(y, a3);
    }
    a0.intoArray(sums, at);
    a1.intoArray(sums, at + 16);
    a2.intoArray(sums, at + 32);
    a3.intoArray(sums, at + 48);
  }
}

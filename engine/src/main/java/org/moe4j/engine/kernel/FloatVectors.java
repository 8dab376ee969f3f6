package org.moe4j.engine.kernel;

import static jdk.incubator.vector.VectorOperators.ASHR;
import static jdk.incubator.vector.VectorOperators.LSHL;
import static org.moe4j.engine.kernel.Vectors.ALL;
import static org.moe4j.engine.kernel.Vectors.F;
import static org.moe4j.engine.kernel.Vectors.I;
import static org.moe4j.engine.kernel.Vectors.L;
import static org.moe4j.engine.kernel.Vectors.LE;
import static org.moe4j.engine.kernel.Vectors.addProducts;
import static org.moe4j.engine.kernel.Vectors.floats;
import static org.moe4j.engine.kernel.Vectors.highHalf;
import static org.moe4j.engine.kernel.Vectors.lowHalf;
import static org.moe4j.engine.kernel.Vectors.unpackScales;

import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;

/**
 * 8-bit and float matrices on vectors of 512, 256 or 128 bits. A lane is a row, so nothing is
 * summed across lanes. Each loop is a small method of its own, its state in arrays between the
 * phases: a vector that crosses a call is boxed.
 */
final class FloatVectors implements FloatKernels {
  /** Rows of x that a pass over a panel takes at most: their sums stay in the first cache. */
  private static final int PASS = 32;

  /** Per thread: an unpacked block and sums of products. */
  private static final class Scratch {
    final float[] floats = new float[Matrix.PANEL * 32];
    final float[] scales = new float[Matrix.PANEL];
    private float[] sums = new float[4 * 2 * 16];

    float[] sums(int blocks) {
      if (sums.length < blocks * 2 * 16) {
        sums = new float[blocks * 2 * 16];
      }
      return sums;
    }
  }

  private static final ThreadLocal<Scratch> SCRATCH = ThreadLocal.withInitial(Scratch::new);

  @Override
  public void q8(
      MemorySegment w,
      long panel,
      Activations x,
      boolean rounded,
      int[] rows,
      int from,
      int count,
      float[] out) {
    long start = w.address() + panel;
    Scratch s = SCRATCH.get();
    if (count < 4) {
      for (int i = 0; i < count; i++) {
        q8Row(start, x, rounded, rows[from + i], out, i * Matrix.PANEL, s);
      }
      return;
    }
    for (int done = 0; done < count; done += PASS) {
      int n = Math.min(PASS, count - done);
      q8Pass(start, x, rounded, rows, from + done, n, out, done * Matrix.PANEL, s);
    }
  }

  private static void q8Row(
      long panel, Activations x, boolean rounded, int row, float[] out, int at, Scratch s) {
    float[] values = rounded ? x.codes() : x.values();
    int blocks = x.blocks();
    long groupBytes = (long) blocks * Q8Matrix.BLOCK_BYTES;
    float[] products = s.sums(blocks);
    for (int r = 0; r < Matrix.PANEL; r += 32) {
      for (int lane = 0; lane < 16; lane += L) {
        long first = panel + r / 32 * groupBytes + lane * 4L;
        for (int b = 0; b < blocks; b++) {
          long codes = first + (long) b * Q8Matrix.BLOCK_BYTES + 64;
          q8Codes(codes, values, x.at(row) + b * 32, products, b * 2 * L);
        }
        q8Sums(first, blocks, products, x.scales(), x.blocksAt(row), rounded, out, at + r + lane);
      }
    }
  }

  private static void q8Codes(long codes, float[] x, int p, float[] products, int at) {
    FloatVector a0 = FloatVector.zero(F);
    FloatVector a1 = a0;
    for (int v = 0; v < 8; v++) {
      int c = p + v * 4;
      IntVector w0 = IntVector.fromMemorySegment(I, ALL, codes + v * 64L, LE);
      IntVector w1 = IntVector.fromMemorySegment(I, ALL, codes + 512 + v * 64L, LE);
      FloatVector y = FloatVector.broadcast(F, x[c]);
      a0 = floats(w0.lanewise(LSHL, 24).lanewise(ASHR, 24)).fma(y, a0);
      a1 = floats(w1.lanewise(LSHL, 24).lanewise(ASHR, 24)).fma(y, a1);
      y = FloatVector.broadcast(F, x[c + 1]);
      a0 = floats(w0.lanewise(LSHL, 16).lanewise(ASHR, 24)).fma(y, a0);
      a1 = floats(w1.lanewise(LSHL, 16).lanewise(ASHR, 24)).fma(y, a1);
      y = FloatVector.broadcast(F, x[c + 2]);
      a0 = floats(w0.lanewise(LSHL, 8).lanewise(ASHR, 24)).fma(y, a0);
      a1 = floats(w1.lanewise(LSHL, 8).lanewise(ASHR, 24)).fma(y, a1);
      y = FloatVector.broadcast(F, x[c + 3]);
      a0 = floats(w0.lanewise(ASHR, 24)).fma(y, a0);
      a1 = floats(w1.lanewise(ASHR, 24)).fma(y, a1);
    }
    a0.intoArray(products, at);
    a1.intoArray(products, at + L);
  }

  private static void q8Sums(
      long first,
      int blocks,
      float[] products,
      float[] units,
      int u,
      boolean rounded,
      float[] out,
      int at) {
    FloatVector sum0 = FloatVector.zero(F);
    FloatVector sum1 = sum0;
    for (int b = 0; b < blocks; b++) {
      long block = first + (long) b * Q8Matrix.BLOCK_BYTES;
      IntVector both = IntVector.fromMemorySegment(I, ALL, block, LE);
      FloatVector unit = FloatVector.broadcast(F, rounded ? units[u + b] : 1f);
      sum0 = FloatVector.fromArray(F, products, b * 2 * L).fma(lowHalf(both).mul(unit), sum0);
      sum1 = FloatVector.fromArray(F, products, b * 2 * L + L).fma(highHalf(both).mul(unit), sum1);
    }
    sum0.intoArray(out, at);
    sum1.intoArray(out, at + 16);
  }

  private static void q8Pass(
      long panel,
      Activations x,
      boolean rounded,
      int[] rows,
      int from,
      int count,
      float[] out,
      int at,
      Scratch s) {
    float[] values = rounded ? x.codes() : x.values();
    Arrays.fill(out, at, at + count * Matrix.PANEL, 0f);
    long group = (long) x.blocks() * Q8Matrix.BLOCK_BYTES;
    for (int b = 0; b < x.blocks(); b++) {
      long block = panel + (long) b * Q8Matrix.BLOCK_BYTES;
      q8Unpack(block + 64, s.floats, 0);
      q8Unpack(block + group + 64, s.floats, 32 * 32);
      unpackScales(block, s.scales, 0);
      unpackScales(block + group, s.scales, 32);
      for (int i = 0; i < count; i += 4) {
        int n = Math.min(4, count - i);
        int last = from + i + n - 1;
        for (int sixteen = 0; sixteen < 4; sixteen += 2) {
          for (int lane = 0; lane < 16; lane += L) {
            floatProducts(
                s.floats,
                sixteen * 512 + lane,
                values,
                x.at(rows[from + i]) + b * 32,
                x.at(rows[Math.min(from + i + 1, last)]) + b * 32,
                x.at(rows[Math.min(from + i + 2, last)]) + b * 32,
                x.at(rows[last]) + b * 32,
                s.sums);
            int r = sixteen * 16 + lane;
            for (int j = 0; j < n; j++) {
              float unit = rounded ? x.scales()[x.blocksAt(rows[from + i + j]) + b] : 1f;
              addScaledFloats(s.sums, 2 * L * j, s.scales, r, unit, out, at + (i + j) * Matrix.PANEL + r);
            }
          }
        }
      }
    }
  }

  /** 32 rows: two sixteens, each 32 columns of 16 floats. */
  private static void q8Unpack(long codes, float[] to, int at) {
    for (int v = 0; v < 16; v++) {
      for (int lane = 0; lane < 16; lane += L) {
        IntVector q = IntVector.fromMemorySegment(I, ALL, codes + v * 64L + lane * 4L, LE);
        int t = at + v * 64 + lane;
        floats(q.lanewise(LSHL, 24).lanewise(ASHR, 24)).intoArray(to, t);
        floats(q.lanewise(LSHL, 16).lanewise(ASHR, 24)).intoArray(to, t + 16);
        floats(q.lanewise(LSHL, 8).lanewise(ASHR, 24)).intoArray(to, t + 32);
        floats(q.lanewise(ASHR, 24)).intoArray(to, t + 48);
      }
    }
  }

  private static void floatProducts(
      float[] w, int at, float[] x, int x0, int x1, int x2, int x3, float[] sums) {
    FloatVector a0 = FloatVector.zero(F);
    FloatVector a1 = a0;
    FloatVector a2 = a0;
    FloatVector a3 = a0;
    FloatVector b0 = a0;
    FloatVector b1 = a0;
    FloatVector b2 = a0;
    FloatVector b3 = a0;
    for (int c = 0; c < 32; c++) {
      FloatVector wa = FloatVector.fromArray(F, w, at + c * 16);
      FloatVector wb = FloatVector.fromArray(F, w, at + 512 + c * 16);
      FloatVector y = FloatVector.broadcast(F, x[x0 + c]);
      a0 = wa.fma(y, a0);
      b0 = wb.fma(y, b0);
      y = FloatVector.broadcast(F, x[x1 + c]);
      a1 = wa.fma(y, a1);
      b1 = wb.fma(y, b1);
      y = FloatVector.broadcast(F, x[x2 + c]);
      a2 = wa.fma(y, a2);
      b2 = wb.fma(y, b2);
      y = FloatVector.broadcast(F, x[x3 + c]);
      a3 = wa.fma(y, a3);
      b3 = wb.fma(y, b3);
    }
    a0.intoArray(sums, 0);
    b0.intoArray(sums, L);
    a1.intoArray(sums, 2 * L);
    b1.intoArray(sums, 3 * L);
    a2.intoArray(sums, 4 * L);
    b2.intoArray(sums, 5 * L);
    a3.intoArray(sums, 6 * L);
    b3.intoArray(sums, 7 * L);
  }

  private static void addScaledFloats(
      float[] sums, int p, float[] scales, int r, float unit, float[] out, int at) {
    FloatVector a = FloatVector.fromArray(F, sums, p);
    FloatVector b = FloatVector.fromArray(F, sums, p + L);
    addProducts(a, FloatVector.fromArray(F, scales, r).mul(unit), out, at);
    addProducts(b, FloatVector.fromArray(F, scales, r + 16).mul(unit), out, at + 16);
  }

  @Override
  public void f32(
      MemorySegment w, long panel, Activations x, int[] rows, int from, int count, float[] out) {
    long start = w.address() + panel;
    for (int i = 0; i < count; i += 2) {
      int second = Math.min(i + 1, count - 1);
      int x0 = x.at(rows[from + i]);
      int x1 = x.at(rows[from + second]);
      for (int r = 0; r < Matrix.PANEL; r += 4 * L) {
        f32Lanes(
            start + r * 4L,
            x.columns(),
            x.values(),
            x0,
            x1,
            out,
            i * Matrix.PANEL + r,
            second * Matrix.PANEL + r);
      }
    }
  }

  private static void f32Lanes(
      long first, int columns, float[] x, int x0, int x1, float[] out, int at0, int at1) {
    FloatVector a0 = FloatVector.zero(F);
    FloatVector a1 = a0;
    FloatVector a2 = a0;
    FloatVector a3 = a0;
    FloatVector b0 = a0;
    FloatVector b1 = a0;
    FloatVector b2 = a0;
    FloatVector b3 = a0;
    for (int c = 0; c < columns; c++) {
      long q = first + c * (Matrix.PANEL * 4L);
      FloatVector w0 = FloatVector.fromMemorySegment(F, ALL, q, LE);
      FloatVector w1 = FloatVector.fromMemorySegment(F, ALL, q + 4L * L, LE);
      FloatVector w2 = FloatVector.fromMemorySegment(F, ALL, q + 8L * L, LE);
      FloatVector w3 = FloatVector.fromMemorySegment(F, ALL, q + 12L * L, LE);
      FloatVector y = FloatVector.broadcast(F, x[x0 + c]);
      a0 = w0.fma(y, a0);
      a1 = w1.fma(y, a1);
      a2 = w2.fma(y, a2);
      a3 = w3.fma(y, a3);
      y = FloatVector.broadcast(F, x[x1 + c]);
      b0 = w0.fma(y, b0);
      b1 = w1.fma(y, b1);
      b2 = w2.fma(y, b2);
      b3 = w3.fma(y, b3);
    }
    b0.intoArray(out, at1);
    b1.intoArray(out, at1 + L);
    b2.intoArray(out, at1 + 2 * L);
    b3.intoArray(out, at1 + 3 * L);
    a0.intoArray(out, at0);
    a1.intoArray(out, at0 + L);
    a2.intoArray(out, at0 + 2 * L);
    a3.intoArray(out, at0 + 3 * L);
  }
}

package org.moe4j.engine.kernel;

import static jdk.incubator.vector.VectorOperators.ASHR;
import static jdk.incubator.vector.VectorOperators.LSHL;
import static jdk.incubator.vector.VectorOperators.LSHR;
import static org.moe4j.engine.kernel.Vectors.ALL;
import static org.moe4j.engine.kernel.Vectors.F;
import static org.moe4j.engine.kernel.Vectors.I;
import static org.moe4j.engine.kernel.Vectors.L;
import static org.moe4j.engine.kernel.Vectors.LE;
import static org.moe4j.engine.kernel.Vectors.S;
import static org.moe4j.engine.kernel.Vectors.addProducts;
import static org.moe4j.engine.kernel.Vectors.highHalf;
import static org.moe4j.engine.kernel.Vectors.lowHalf;
import static org.moe4j.engine.kernel.Vectors.unpackScales;

import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.ShortVector;
import jdk.incubator.vector.VectorOperators;

/**
 * 4-bit matrices on vectors of 512, 256 or 128 bits. A lane is a row, so nothing is summed across
 * lanes. Each loop is a small method of its own, its state in arrays between the phases: a vector
 * that crosses a call is boxed.
 */
final class Q4Vectors implements Q4Kernels {
  /** Rows of x that a pass over a panel takes at most: their sums stay in the first cache. */
  private static final int PASS = 32;

  /** Per thread: an unpacked block and sums of products. */
  private static final class Scratch {
    final short[] codes = new short[Matrix.PANEL * 32];
    final float[] scales = new float[Matrix.PANEL];
    private int[] products = new int[4 * 2 * 16];

    int[] products(int blocks) {
      if (products.length < blocks * 4 * 16) {
        products = new int[blocks * 4 * 16];
      }
      return products;
    }
  }

  private static final ThreadLocal<Scratch> SCRATCH = ThreadLocal.withInitial(Scratch::new);

  @Override
  public void q4(
      MemorySegment w, long panel, Activations x, int[] rows, int from, int count, float[] out) {
    long start = w.address() + panel;
    Scratch s = SCRATCH.get();
    if (count < 4) {
      for (int i = 0; i < count; i++) {
        q4Row(start, x, rows[from + i], out, i * Matrix.PANEL, s);
      }
      return;
    }
    for (int done = 0; done < count; done += PASS) {
      q4Pass(start, x, rows, from + done, Math.min(PASS, count - done), out, done * Matrix.PANEL, s);
    }
  }

  /**
   * First the integer products of all blocks, the rows of all four sixteens sharing what is
   * broadcast, then their scaled sums.
   */
  private static void q4Row(long panel, Activations x, int row, float[] out, int at, Scratch s) {
    int blocks = x.blocks();
    long group = (long) blocks * Q4Matrix.BLOCK_BYTES;
    int u = x.blocksAt(row);
    int p = x.pairsAt(row);
    int[] products = s.products(blocks);
    for (int lane = 0; lane < 16; lane += L) {
      long first = panel + lane * 4L;
      for (int b = 0; b < blocks; b++) {
        long codes = first + (long) b * Q4Matrix.BLOCK_BYTES + 64;
        q4Codes(codes, group, x.pairs(), p + b * 16, x.offsets()[u + b], products, b * 4 * L);
      }
      for (int pair = 0; pair < 2; pair++) {
        int to = at + pair * 32 + lane;
        q4Sums(first + pair * group, blocks, products, pair * 2 * L, x.scales(), u, out, to);
      }
    }
  }

  private static void q4Codes(
      long codes, long group, int[] pairs, int p, int offset, int[] products, int at) {
    final ShortVector low = ShortVector.broadcast(S, (short) 15);
    ShortVector a0 = IntVector.broadcast(I, offset).reinterpretAsShorts();
    ShortVector a1 = a0;
    ShortVector a2 = a0;
    ShortVector a3 = a0;
    for (int v = 0; v < 4; v++) {
      long q = codes + v * 64L;
      int c = p + v * 4;
      ShortVector w0 = ShortVector.fromMemorySegment(S, ALL, q, LE);
      ShortVector w1 = ShortVector.fromMemorySegment(S, ALL, q + 256, LE);
      ShortVector w2 = ShortVector.fromMemorySegment(S, ALL, q + group, LE);
      ShortVector w3 = ShortVector.fromMemorySegment(S, ALL, q + group + 256, LE);
      ShortVector y = IntVector.broadcast(I, pairs[c]).reinterpretAsShorts();
      a0 = a0.add(w0.and(low).mul(y));
      a1 = a1.add(w1.and(low).mul(y));
      a2 = a2.add(w2.and(low).mul(y));
      a3 = a3.add(w3.and(low).mul(y));
      y = IntVector.broadcast(I, pairs[c + 1]).reinterpretAsShorts();
      a0 = a0.add(w0.lanewise(LSHR, 4).and(low).mul(y));
      a1 = a1.add(w1.lanewise(LSHR, 4).and(low).mul(y));
      a2 = a2.add(w2.lanewise(LSHR, 4).and(low).mul(y));
      a3 = a3.add(w3.lanewise(LSHR, 4).and(low).mul(y));
      y = IntVector.broadcast(I, pairs[c + 2]).reinterpretAsShorts();
      a0 = a0.add(w0.lanewise(LSHR, 8).and(low).mul(y));
      a1 = a1.add(w1.lanewise(LSHR, 8).and(low).mul(y));
      a2 = a2.add(w2.lanewise(LSHR, 8).and(low).mul(y));
      a3 = a3.add(w3.lanewise(LSHR, 8).and(low).mul(y));
      y = IntVector.broadcast(I, pairs[c + 3]).reinterpretAsShorts();
      a0 = a0.add(w0.lanewise(LSHR, 12).mul(y));
      a1 = a1.add(w1.lanewise(LSHR, 12).mul(y));
      a2 = a2.add(w2.lanewise(LSHR, 12).mul(y));
      a3 = a3.add(w3.lanewise(LSHR, 12).mul(y));
    }
    a0.reinterpretAsInts().intoArray(products, at);
    a1.reinterpretAsInts().intoArray(products, at + L);
    a2.reinterpretAsInts().intoArray(products, at + 2 * L);
    a3.reinterpretAsInts().intoArray(products, at + 3 * L);
  }

  private static void q4Sums(
      long first, int blocks, int[] products, int p, float[] units, int u, float[] out, int at) {
    FloatVector sum0 = FloatVector.zero(F);
    FloatVector sum1 = sum0;
    for (int b = 0; b < blocks; b++) {
      long block = first + (long) b * Q4Matrix.BLOCK_BYTES;
      IntVector both = IntVector.fromMemorySegment(I, ALL, block, LE);
      FloatVector unit = FloatVector.broadcast(F, units[u + b]);
      IntVector a = IntVector.fromArray(I, products, p + b * 4 * L);
      sum0 = pairSums(a).fma(lowHalf(both).mul(unit), sum0);
      a = IntVector.fromArray(I, products, p + b * 4 * L + L);
      sum1 = pairSums(a).fma(highHalf(both).mul(unit), sum1);
    }
    sum0.intoArray(out, at);
    sum1.intoArray(out, at + 16);
  }

  /** Sums of the two 16-bit numbers of each int. */
  private static FloatVector pairSums(IntVector both) {
    IntVector sum = both.lanewise(LSHL, 16).lanewise(ASHR, 16).add(both.lanewise(ASHR, 16));
    return (FloatVector) sum.convert(VectorOperators.I2F, 0);
  }

  /** Up to {@link #PASS} rows: each block of weights is unpacked once for all of them. */
  private static void q4Pass(
      long panel, Activations x, int[] rows, int from, int count, float[] out, int at, Scratch s) {
    Arrays.fill(out, at, at + count * Matrix.PANEL, 0f);
    long group = (long) x.blocks() * Q4Matrix.BLOCK_BYTES;
    for (int b = 0; b < x.blocks(); b++) {
      long block = panel + (long) b * Q4Matrix.BLOCK_BYTES;
      q4Unpack(block + 64, s.codes, 0);
      q4Unpack(block + group + 64, s.codes, 32 * 32);
      unpackScales(block, s.scales, 0);
      unpackScales(block + group, s.scales, 32);
      for (int i = 0; i < count; i += 4) {
        q4Four(x, rows, from + i, Math.min(4, count - i), b, out, at + i * Matrix.PANEL, s);
      }
    }
  }

  /** 32 rows: two sixteens, each 16 vectors of pairs of columns, codes less 8. */
  private static void q4Unpack(long codes, short[] to, int at) {
    for (int v = 0; v < 8; v++) {
      for (int lane = 0; lane < 16; lane += L) {
        ShortVector q = ShortVector.fromMemorySegment(S, ALL, codes + v * 64L + lane * 4L, LE);
        int t = at + v * 128 + lane * 2;
        q.and((short) 15).sub((short) 8).intoArray(to, t);
        q.lanewise(LSHR, 4).and((short) 15).sub((short) 8).intoArray(to, t + 32);
        q.lanewise(LSHR, 8).and((short) 15).sub((short) 8).intoArray(to, t + 64);
        q.lanewise(LSHR, 12).sub((short) 8).intoArray(to, t + 96);
      }
    }
  }

  private static void q4Four(
      Activations x, int[] rows, int from, int count, int b, float[] out, int at, Scratch s) {
    int last = from + count - 1;
    int r0 = rows[from];
    int r1 = rows[Math.min(from + 1, last)];
    int r2 = rows[Math.min(from + 2, last)];
    int r3 = rows[last];
    int p0 = x.pairsAt(r0) + b * 16;
    int p1 = x.pairsAt(r1) + b * 16;
    int p2 = x.pairsAt(r2) + b * 16;
    int p3 = x.pairsAt(r3) + b * 16;
    for (int sixteen = 0; sixteen < 4; sixteen += 2) {
      for (int lane = 0; lane < 16; lane += L) {
        q4Products(s.codes, sixteen * 512 + lane * 2, x.pairs(), p0, p1, p2, p3, s.products);
        for (int i = 0; i < count; i++) {
          float unit = x.scales()[x.blocksAt(rows[from + i]) + b];
          int r = sixteen * 16 + lane;
          addScaled(s.products, 2 * L * i, s.scales, r, unit, out, at + i * Matrix.PANEL + r);
        }
      }
    }
  }

  /** L rows of each of two sixteens times one block of four rows of x. */
  private static void q4Products(
      short[] codes, int at, int[] pairs, int p0, int p1, int p2, int p3, int[] products) {
    ShortVector a0 = ShortVector.zero(S);
    ShortVector a1 = a0;
    ShortVector a2 = a0;
    ShortVector a3 = a0;
    ShortVector b0 = a0;
    ShortVector b1 = a0;
    ShortVector b2 = a0;
    ShortVector b3 = a0;
    for (int v = 0; v < 16; v++) {
      ShortVector wa = ShortVector.fromArray(S, codes, at + v * 32);
      ShortVector wb = ShortVector.fromArray(S, codes, at + 512 + v * 32);
      ShortVector y = IntVector.broadcast(I, pairs[p0 + v]).reinterpretAsShorts();
      a0 = a0.add(wa.mul(y));
      b0 = b0.add(wb.mul(y));
      y = IntVector.broadcast(I, pairs[p1 + v]).reinterpretAsShorts();
      a1 = a1.add(wa.mul(y));
      b1 = b1.add(wb.mul(y));
      y = IntVector.broadcast(I, pairs[p2 + v]).reinterpretAsShorts();
      a2 = a2.add(wa.mul(y));
      b2 = b2.add(wb.mul(y));
      y = IntVector.broadcast(I, pairs[p3 + v]).reinterpretAsShorts();
      a3 = a3.add(wa.mul(y));
      b3 = b3.add(wb.mul(y));
    }
    a0.reinterpretAsInts().intoArray(products, 0);
    b0.reinterpretAsInts().intoArray(products, L);
    a1.reinterpretAsInts().intoArray(products, 2 * L);
    b1.reinterpretAsInts().intoArray(products, 3 * L);
    a2.reinterpretAsInts().intoArray(products, 4 * L);
    b2.reinterpretAsInts().intoArray(products, 5 * L);
    a3.reinterpretAsInts().intoArray(products, 6 * L);
    b3.reinterpretAsInts().intoArray(products, 7 * L);
  }

  private static void addScaled(
      int[] products, int p, float[] scales, int r, float unit, float[] out, int at) {
    FloatVector a = pairSums(IntVector.fromArray(I, products, p));
    FloatVector b = pairSums(IntVector.fromArray(I, products, p + L));
    addProducts(a, FloatVector.fromArray(F, scales, r).mul(unit), out, at);
    addProducts(b, FloatVector.fromArray(F, scales, r + 16).mul(unit), out, at + 16);
  }
}

package org.moe4j.engine.kernel;

import static jdk.incubator.vector.VectorOperators.ASHR;
import static jdk.incubator.vector.VectorOperators.LSHL;
import static jdk.incubator.vector.VectorOperators.LSHR;

import java.lang.foreign.MemorySegment;
import java.nio.ByteOrder;
import java.util.Arrays;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.ShortVector;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorShape;
import jdk.incubator.vector.VectorSpecies;

/**
 * The loops on vectors of 512, 256 or 128 bits. A lane is a row, so nothing is summed across lanes.
 * Each loop is a small method of its own, its state in arrays between the phases: a vector that
 * crosses a call is boxed.
 */
final class VectorKernels implements Kernels {
  private static final ByteOrder LE = ByteOrder.LITTLE_ENDIAN;
  private static final VectorSpecies<Integer> I =
      VectorSpecies.of(int.class, VectorShape.forBitSize(KernelChoice.bits()));
  private static final VectorSpecies<Short> S = I.withLanes(short.class);
  private static final VectorSpecies<Float> F = I.withLanes(float.class);
  private static final int L = I.length();

  /**
   * All of memory: with bounds and lifetime that the compiler knows, a load is one instruction, and
   * methods stay below the size from which on it no longer inlines. {@link Packing} made what is
   * read here, and its owner keeps it until no thread multiplies any more.
   */
  private static final MemorySegment ALL = MemorySegment.NULL.reinterpret(Long.MAX_VALUE);

  private static final float TWO_112 = 0x1p112f;
  private static final int HALF_BITS = 0x8fffe000;

  /** Rows of x that a pass over a panel takes at most: their sums stay in the first cache. */
  private static final int PASS = 32;

  /** Per thread: an unpacked block and sums of products. */
  private static final class Scratch {
    final short[] codes = new short[PANEL * 32];
    final float[] floats = new float[PANEL * 32];
    final float[] scales = new float[PANEL];
    float[] sums = new float[4 * 2 * 16];
    private int[] products = new int[4 * 2 * 16];

    float[] sums(int blocks) {
      if (sums.length < blocks * 2 * 16) {
        sums = new float[blocks * 2 * 16];
      }
      return sums;
    }

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
        q4Row(start, x, rows[from + i], out, i * PANEL, s);
      }
      return;
    }
    for (int done = 0; done < count; done += PASS) {
      q4Pass(start, x, rows, from + done, Math.min(PASS, count - done), out, done * PANEL, s);
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

  private static void add(FloatVector products, FloatVector scale, float[] sums, int at) {
    products.fma(scale, FloatVector.fromArray(F, sums, at)).intoArray(sums, at);
  }

  /** Sums of the two 16-bit numbers of each int. */
  private static FloatVector pairSums(IntVector both) {
    IntVector sum = both.lanewise(LSHL, 16).lanewise(ASHR, 16).add(both.lanewise(ASHR, 16));
    return (FloatVector) sum.convert(VectorOperators.I2F, 0);
  }

  /**
   * The half-precision numbers in the low 16 bits as floats: sign and digits in their places, the
   * exponent's bias then made up for by a power of two.
   */
  private static FloatVector lowHalf(IntVector both) {
    return both.lanewise(LSHL, 16)
        .lanewise(ASHR, 3)
        .and(HALF_BITS)
        .reinterpretAsFloats()
        .mul(TWO_112);
  }

  private static FloatVector highHalf(IntVector both) {
    return both.lanewise(ASHR, 3).and(HALF_BITS).reinterpretAsFloats().mul(TWO_112);
  }

  /** Up to {@link #PASS} rows: each block of weights is unpacked once for all of them. */
  private static void q4Pass(
      long panel, Activations x, int[] rows, int from, int count, float[] out, int at, Scratch s) {
    Arrays.fill(out, at, at + count * PANEL, 0f);
    long group = (long) x.blocks() * Q4Matrix.BLOCK_BYTES;
    for (int b = 0; b < x.blocks(); b++) {
      long block = panel + (long) b * Q4Matrix.BLOCK_BYTES;
      q4Unpack(block + 64, s.codes, 0);
      q4Unpack(block + group + 64, s.codes, 32 * 32);
      unpackScales(block, s.scales, 0);
      unpackScales(block + group, s.scales, 32);
      for (int i = 0; i < count; i += 4) {
        q4Four(x, rows, from + i, Math.min(4, count - i), b, out, at + i * PANEL, s);
      }
    }
  }

  private static void unpackScales(long block, float[] to, int at) {
    for (int lane = 0; lane < 16; lane += L) {
      IntVector both = IntVector.fromMemorySegment(I, ALL, block + lane * 4L, LE);
      lowHalf(both).intoArray(to, at + lane);
      highHalf(both).intoArray(to, at + 16 + lane);
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
          addScaled(s.products, 2 * L * i, s.scales, r, unit, out, at + i * PANEL + r);
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
    add(a, FloatVector.fromArray(F, scales, r).mul(unit), out, at);
    add(b, FloatVector.fromArray(F, scales, r + 16).mul(unit), out, at + 16);
  }

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
        q8Row(start, x, rounded, rows[from + i], out, i * PANEL, s);
      }
      return;
    }
    for (int done = 0; done < count; done += PASS) {
      int n = Math.min(PASS, count - done);
      q8Pass(start, x, rounded, rows, from + done, n, out, done * PANEL, s);
    }
  }

  private static void q8Row(
      long panel, Activations x, boolean rounded, int row, float[] out, int at, Scratch s) {
    float[] values = rounded ? x.codes() : x.values();
    int blocks = x.blocks();
    long groupBytes = (long) blocks * Q8Matrix.BLOCK_BYTES;
    float[] products = s.sums(blocks);
    for (int r = 0; r < PANEL; r += 32) {
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

  private static FloatVector floats(IntVector codes) {
    return (FloatVector) codes.convert(VectorOperators.I2F, 0);
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
    Arrays.fill(out, at, at + count * PANEL, 0f);
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
              addScaledFloats(s.sums, 2 * L * j, s.scales, r, unit, out, at + (i + j) * PANEL + r);
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
    add(a, FloatVector.fromArray(F, scales, r).mul(unit), out, at);
    add(b, FloatVector.fromArray(F, scales, r + 16).mul(unit), out, at + 16);
  }

  @Override
  public void f32(
      MemorySegment w, long panel, Activations x, int[] rows, int from, int count, float[] out) {
    long start = w.address() + panel;
    for (int i = 0; i < count; i += 2) {
      int second = Math.min(i + 1, count - 1);
      int x0 = x.at(rows[from + i]);
      int x1 = x.at(rows[from + second]);
      for (int r = 0; r < PANEL; r += 4 * L) {
        f32Lanes(
            start + r * 4L,
            x.columns(),
            x.values(),
            x0,
            x1,
            out,
            i * PANEL + r,
            second * PANEL + r);
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
      long q = first + c * (PANEL * 4L);
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

  @Override
  public void scores(int[] keys, int at, float[] q, int qAt, int size, float[] out, int to) {
    for (int lane = 0; lane < 32; lane += L) {
      scoreLanes(keys, at + lane, q, qAt, size, out, to + lane);
    }
  }

  private static void scoreLanes(
      int[] keys, int at, float[] q, int qAt, int size, float[] out, int to) {
    FloatVector a = FloatVector.zero(F);
    FloatVector b = a;
    for (int d = 0; d < size; d++) {
      IntVector both = IntVector.fromArray(I, keys, at + d * 32);
      FloatVector y = FloatVector.broadcast(F, q[qAt + d]);
      a = lowHalf(both).fma(y, a);
      b = highHalf(both).fma(y, b);
    }
    a.intoArray(out, to);
    b.intoArray(out, to + 32);
  }

  @Override
  public void values(
      int[] values,
      int at,
      int stride,
      int half,
      float[] weights,
      int from,
      int count,
      float[] out,
      int to) {
    for (int lane = 0; lane < half; lane += L) {
      valueLanes(values, at + lane, stride, weights, from, count, out, to + lane, half);
    }
  }

  private static void valueLanes(
      int[] values,
      int at,
      int stride,
      float[] weights,
      int from,
      int count,
      float[] out,
      int to,
      int half) {
    FloatVector a = FloatVector.fromArray(F, out, to);
    FloatVector b = FloatVector.fromArray(F, out, to + half);
    for (int p = 0; p < count; p++) {
      IntVector both = IntVector.fromArray(I, values, at + p * stride);
      FloatVector y = FloatVector.broadcast(F, weights[from + p]);
      a = lowHalf(both).fma(y, a);
      b = highHalf(both).fma(y, b);
    }
    a.intoArray(out, to);
    b.intoArray(out, to + half);
  }

  @Override
  public void exponentials(float[] x, int count, float scale, float most) {
    for (int i = 0; i < count; i += L) {
      exp(FloatVector.fromArray(F, x, i).mul(scale).sub(most)).intoArray(x, i);
    }
  }

  @Override
  public void swiglu(float[] gate, int at, float[] up, int upAt, int count) {
    for (int i = 0; i < count; i += L) {
      FloatVector x = FloatVector.fromArray(F, gate, at + i);
      FloatVector silu = x.div(exp(x.neg()).add(1f));
      silu.mul(FloatVector.fromArray(F, up, upAt + i)).intoArray(gate, at + i);
    }
  }

  /** {@link Numbers#exp} of each lane. */
  private static FloatVector exp(FloatVector x) {
    FloatVector y = x.max(Numbers.LEAST).min(Numbers.MOST);
    FloatVector rounder = FloatVector.broadcast(F, Numbers.ROUNDER);
    FloatVector shifted = y.fma(FloatVector.broadcast(F, Numbers.LOG2_E), rounder);
    FloatVector n = shifted.sub(rounder);
    FloatVector r = n.fma(FloatVector.broadcast(F, -Numbers.LN2_HIGH), y);
    r = n.fma(FloatVector.broadcast(F, -Numbers.LN2_LOW), r);
    FloatVector p =
        r.fma(FloatVector.broadcast(F, Numbers.C7), FloatVector.broadcast(F, Numbers.C6));
    p = p.fma(r, FloatVector.broadcast(F, Numbers.C5));
    p = p.fma(r, FloatVector.broadcast(F, Numbers.C4));
    p = p.fma(r, FloatVector.broadcast(F, Numbers.C3));
    p = p.fma(r, FloatVector.broadcast(F, 0.5f));
    p = p.fma(r, FloatVector.broadcast(F, 1f));
    p = p.fma(r, FloatVector.broadcast(F, 1f));
    IntVector power = shifted.reinterpretAsInts().sub(Numbers.ROUNDER_BITS - 127);
    return p.mul(power.lanewise(LSHL, 23).reinterpretAsFloats());
  }
}

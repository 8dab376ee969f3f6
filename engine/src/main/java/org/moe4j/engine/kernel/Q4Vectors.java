package org.moe4j.engine.kernel;

import static jdk.incubator.vector.VectorOperators.ASHR;
import static jdk.incubator.vector.VectorOperators.I2F;
import static jdk.incubator.vector.VectorOperators.LSHL;
import static jdk.incubator.vector.VectorOperators.LSHR;
import static org.moe4j.engine.kernel.Vectors.ALL;
import static org.moe4j.engine.kernel.Vectors.F;
import static org.moe4j.engine.kernel.Vectors.I;
import static org.moe4j.engine.kernel.Vectors.L;
import static org.moe4j.engine.kernel.Vectors.LE;
import static org.moe4j.engine.kernel.Vectors.S;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.ShortVector;

/**
 * 4-bit matrices on vectors of 512, 256 or 128 bits. A 16-bit lane is a row, so nothing is summed
 * across lanes; a block's sum of 32 products fits, whatever is lost above 16 bits on the way.
 *
 * <p>What the compiler needs: every loop is a small method of its own with its vectors in memory
 * between the phases (a vector that crosses a call is boxed), vector methods are called directly
 * (helpers stop being inlined in methods of some size), memory is native and in whole cache lines,
 * and loops over addresses end at an address, not at a count: counted loops over long indices become
 * nests of loops with more checks than work.
 */
final class Q4Vectors implements Q4Kernels {
  private static final long LINE = 64;
  private static final long GROUP = 2 * LINE;
  private static final int STEP = 4 * L;
  private static final int HALF_BITS = 0x8fffe000;

  /** What half-precision numbers are scaled by: their exponents' bias, and products' 2^16. */
  private static final float UNIT = 0x1p96f;

  /** Rows of x that a pass over a panel takes at most: their sums stay in the first cache. */
  private static final int PASS = 32;

  /** Rows of x of a tile. */
  private static final int TILE = 4;

  /** Memory of a thread: a block's unpacked codes, a tile's products, a block's scales, sums. */
  private static final class Scratch {
    private final MemorySegment memory =
        Arena.ofAuto().allocate((32 + TILE + 2 + 2 * PASS) * GROUP, LINE);
    final long codes = memory.address();
    final long products = codes + 32 * GROUP;
    final long scales = products + TILE * GROUP;
    final long sums = scales + 2 * GROUP;
    private MemorySegment dots = MemorySegment.NULL;

    /** Room for the products of {@code blocks} blocks with one row of x. */
    long dots(int blocks) {
      if (dots.byteSize() < blocks * GROUP) {
        dots = Arena.ofAuto().allocate(blocks * GROUP, LINE);
      }
      return dots.address();
    }
  }

  private static final ThreadLocal<Scratch> SCRATCH = ThreadLocal.withInitial(Scratch::new);

  @Override
  public void q4(
      MemorySegment w, long panel, Activations x, int[] rows, int from, int count, float[] out) {
    long start = w.address() + panel;
    Scratch s = SCRATCH.get();
    if (count < 3) {
      for (int i = 0; i < count; i++) {
        row(start, x, rows[from + i], out, i * Matrix.PANEL, s);
      }
      return;
    }
    for (int done = 0; done < count; done += PASS) {
      int n = Math.min(PASS, count - done);
      pass(start, x, rows, from + done, n, s);
      MemorySegment.copy(
          ALL,
          ValueLayout.JAVA_FLOAT,
          s.sums,
          out,
          done * Matrix.PANEL,
          Math.toIntExact(n * (long) Matrix.PANEL));
    }
  }

  /** First the integer products of all blocks, then their scaled sums. */
  private static void row(long panel, Activations x, int row, float[] out, int at, Scratch s) {
    int blocks = x.blocks();
    long group = (long) blocks * Q4Matrix.BLOCK_BYTES;
    int unit = x.blocksAt(row);
    long dots = s.dots(blocks);
    for (int lane = 0; lane < LINE; lane += STEP) {
      long block = panel + lane;
      for (int b = 0; b < blocks; b++) {
        int factors = x.factorsAt(row) + b * 32;
        long to = dots + b * GROUP;
        dots(block + LINE, group, x.factors(), factors, x.offsets()[unit + b], to);
        block += Q4Matrix.BLOCK_BYTES;
      }
      sums(panel + lane, group, dots, blocks, x.scales(), unit, out, at + lane / 4);
    }
  }

  /** A block of both groups times a row of x. */
  private static void dots(
      long codes, long group, int[] factors, int at, int offset, long to) {
    ShortVector a = IntVector.broadcast(I, offset).reinterpretAsShorts();
    ShortVector b = a;
    int c = at;
    for (long q = codes, end = codes + 8 * LINE; q != end; q += LINE) {
      ShortVector v = ShortVector.fromMemorySegment(S, ALL, q, LE);
      ShortVector w = ShortVector.fromMemorySegment(S, ALL, q + group, LE);
      ShortVector y = IntVector.broadcast(I, factors[c]).reinterpretAsShorts();
      a = a.add(v.mul(y));
      b = b.add(w.mul(y));
      y = IntVector.broadcast(I, factors[c + 1]).reinterpretAsShorts();
      a = a.add(v.lanewise(LSHR, 4).mul(y));
      b = b.add(w.lanewise(LSHR, 4).mul(y));
      y = IntVector.broadcast(I, factors[c + 2]).reinterpretAsShorts();
      a = a.add(v.lanewise(LSHR, 8).mul(y));
      b = b.add(w.lanewise(LSHR, 8).mul(y));
      y = IntVector.broadcast(I, factors[c + 3]).reinterpretAsShorts();
      a = a.add(v.lanewise(LSHR, 12).mul(y));
      b = b.add(w.lanewise(LSHR, 12).mul(y));
      c += 4;
    }
    a.intoMemorySegment(ALL, to, LE);
    b.intoMemorySegment(ALL, to + LINE, LE);
  }

  /** Products times both scales, added in the order of blocks. */
  private static void sums(
      long panel, long group, long dots, int blocks, float[] units, int from, float[] out, int at) {
    FloatVector sum0 = FloatVector.zero(F);
    FloatVector sum1 = sum0;
    FloatVector sum2 = sum0;
    FloatVector sum3 = sum0;
    long block = panel;
    int u = from;
    for (long d = dots, end = dots + blocks * GROUP; d != end; d += GROUP) {
      float unit = units[u++] * UNIT;
      IntVector p = IntVector.fromMemorySegment(I, ALL, d, LE);
      IntVector s = IntVector.fromMemorySegment(I, ALL, block, LE);
      sum0 = low(p).fma(lowScale(s).mul(unit), sum0);
      sum1 = high(p).fma(highScale(s).mul(unit), sum1);
      p = IntVector.fromMemorySegment(I, ALL, d + LINE, LE);
      s = IntVector.fromMemorySegment(I, ALL, block + group, LE);
      sum2 = low(p).fma(lowScale(s).mul(unit), sum2);
      sum3 = high(p).fma(highScale(s).mul(unit), sum3);
      block += Q4Matrix.BLOCK_BYTES;
    }
    sum0.intoArray(out, at);
    sum1.intoArray(out, at + 16);
    sum2.intoArray(out, at + 32);
    sum3.intoArray(out, at + 48);
  }

  /** The numbers in the low 16 bits, times 2^16. */
  private static FloatVector low(IntVector both) {
    return (FloatVector) both.lanewise(LSHL, 16).convert(I2F, 0);
  }

  /** The numbers in the high 16 bits, times 2^16. */
  private static FloatVector high(IntVector both) {
    return (FloatVector) both.and(0xffff0000).convert(I2F, 0);
  }

  /** Half-precision numbers in the low 16 bits, their exponents' bias yet to be made up for. */
  private static FloatVector lowScale(IntVector both) {
    return both.lanewise(LSHL, 16).lanewise(ASHR, 3).and(HALF_BITS).reinterpretAsFloats();
  }

  private static FloatVector highScale(IntVector both) {
    return both.lanewise(ASHR, 3).and(HALF_BITS).reinterpretAsFloats();
  }

  /** Up to {@link #PASS} rows: each block of weights is unpacked once for all of them. */
  private static void pass(long panel, Activations x, int[] rows, int from, int count, Scratch s) {
    ALL.asSlice(s.sums, count * 2 * GROUP).fill((byte) 0);
    long group = (long) x.blocks() * Q4Matrix.BLOCK_BYTES;
    for (int b = 0; b < x.blocks(); b++) {
      long block = panel + (long) b * Q4Matrix.BLOCK_BYTES;
      for (int lane = 0; lane < LINE; lane += STEP) {
        unpack(block + LINE + lane, group, s.codes + lane);
        unpackScales(block + lane, group, s.scales + lane);
      }
      for (int i = 0; i < count; i += TILE) {
        int last = from + Math.min(i + TILE, count) - 1;
        int r0 = rows[from + i];
        int r1 = rows[Math.min(from + i + 1, last)];
        int r2 = rows[Math.min(from + i + 2, last)];
        int r3 = rows[last];
        tile(x, b, r0, r1, r2, r3, last - from - i + 1, s, s.sums + i * 2 * GROUP);
      }
    }
  }

  private static void tile(
      Activations x, int b, int r0, int r1, int r2, int r3, int count, Scratch s, long sums) {
    int f0 = x.factorsAt(r0) + b * 32;
    int f1 = x.factorsAt(r1) + b * 32;
    int f2 = x.factorsAt(r2) + b * 32;
    int f3 = x.factorsAt(r3) + b * 32;
    int u0 = x.blocksAt(r0) + b;
    int u1 = x.blocksAt(r1) + b;
    int u2 = x.blocksAt(r2) + b;
    int u3 = x.blocksAt(r3) + b;
    for (int lane = 0; lane < LINE; lane += STEP) {
      int[] o = x.offsets();
      long c = s.codes + lane;
      products(
          c, x.factors(), f0, f1, f2, f3, o[u0], o[u1], o[u2], o[u3], s.products + lane);
    }
    float[] units = x.scales();
    for (int lane = 0; lane < LINE; lane += STEP) {
      long p = s.products + lane;
      for (int i = 0; i < count; i++) {
        float unit = units[i == 0 ? u0 : i == 1 ? u1 : i == 2 ? u2 : u3] * UNIT;
        add(p + i * GROUP, unit, s.scales + lane, sums + i * 2 * GROUP + lane);
      }
    }
  }

  /** The codes of a block of both groups, column by column, above them whatever comes. */
  private static void unpack(long codes, long group, long to) {
    long t = to;
    for (long q = codes, end = codes + 8 * LINE; q != end; q += LINE) {
      ShortVector v = ShortVector.fromMemorySegment(S, ALL, q, LE);
      ShortVector w = ShortVector.fromMemorySegment(S, ALL, q + group, LE);
      v.intoMemorySegment(ALL, t, LE);
      w.intoMemorySegment(ALL, t + LINE, LE);
      v.lanewise(LSHR, 4).intoMemorySegment(ALL, t + 2 * LINE, LE);
      w.lanewise(LSHR, 4).intoMemorySegment(ALL, t + 3 * LINE, LE);
      v.lanewise(LSHR, 8).intoMemorySegment(ALL, t + 4 * LINE, LE);
      w.lanewise(LSHR, 8).intoMemorySegment(ALL, t + 5 * LINE, LE);
      v.lanewise(LSHR, 12).intoMemorySegment(ALL, t + 6 * LINE, LE);
      w.lanewise(LSHR, 12).intoMemorySegment(ALL, t + 7 * LINE, LE);
      t += 8 * LINE;
    }
  }

  private static void unpackScales(long block, long group, long to) {
    IntVector s = IntVector.fromMemorySegment(I, ALL, block, LE);
    lowScale(s).intoMemorySegment(ALL, to, LE);
    highScale(s).intoMemorySegment(ALL, to + LINE, LE);
    s = IntVector.fromMemorySegment(I, ALL, block + group, LE);
    lowScale(s).intoMemorySegment(ALL, to + 2 * LINE, LE);
    highScale(s).intoMemorySegment(ALL, to + 3 * LINE, LE);
  }

  /** A block of both groups times {@link #TILE} rows of x. */
  private static void products(
      long codes,
      int[] factors,
      int f0,
      int f1,
      int f2,
      int f3,
      int o0,
      int o1,
      int o2,
      int o3,
      long to) {
    ShortVector a0 = IntVector.broadcast(I, o0).reinterpretAsShorts();
    ShortVector a1 = IntVector.broadcast(I, o1).reinterpretAsShorts();
    ShortVector a2 = IntVector.broadcast(I, o2).reinterpretAsShorts();
    ShortVector a3 = IntVector.broadcast(I, o3).reinterpretAsShorts();
    ShortVector b0 = a0;
    ShortVector b1 = a1;
    ShortVector b2 = a2;
    ShortVector b3 = a3;
    int i = 0;
    for (long q = codes, end = codes + 32 * GROUP; q != end; q += GROUP) {
      ShortVector v = ShortVector.fromMemorySegment(S, ALL, q, LE);
      ShortVector w = ShortVector.fromMemorySegment(S, ALL, q + LINE, LE);
      ShortVector y = IntVector.broadcast(I, factors[f0 + i]).reinterpretAsShorts();
      a0 = a0.add(v.mul(y));
      b0 = b0.add(w.mul(y));
      y = IntVector.broadcast(I, factors[f1 + i]).reinterpretAsShorts();
      a1 = a1.add(v.mul(y));
      b1 = b1.add(w.mul(y));
      y = IntVector.broadcast(I, factors[f2 + i]).reinterpretAsShorts();
      a2 = a2.add(v.mul(y));
      b2 = b2.add(w.mul(y));
      y = IntVector.broadcast(I, factors[f3 + i]).reinterpretAsShorts();
      a3 = a3.add(v.mul(y));
      b3 = b3.add(w.mul(y));
      i++;
    }
    a0.intoMemorySegment(ALL, to, LE);
    b0.intoMemorySegment(ALL, to + LINE, LE);
    a1.intoMemorySegment(ALL, to + GROUP, LE);
    b1.intoMemorySegment(ALL, to + GROUP + LINE, LE);
    a2.intoMemorySegment(ALL, to + 2 * GROUP, LE);
    b2.intoMemorySegment(ALL, to + 2 * GROUP + LINE, LE);
    a3.intoMemorySegment(ALL, to + 3 * GROUP, LE);
    b3.intoMemorySegment(ALL, to + 3 * GROUP + LINE, LE);
  }

  /** Adds the scaled products of one row of x to its sums. */
  private static void add(long products, float unit, long scales, long sums) {
    IntVector p = IntVector.fromMemorySegment(I, ALL, products, LE);
    low(p)
        .fma(
            FloatVector.fromMemorySegment(F, ALL, scales, LE).mul(unit),
            FloatVector.fromMemorySegment(F, ALL, sums, LE))
        .intoMemorySegment(ALL, sums, LE);
    high(p)
        .fma(
            FloatVector.fromMemorySegment(F, ALL, scales + LINE, LE).mul(unit),
            FloatVector.fromMemorySegment(F, ALL, sums + LINE, LE))
        .intoMemorySegment(ALL, sums + LINE, LE);
    p = IntVector.fromMemorySegment(I, ALL, products + LINE, LE);
    low(p)
        .fma(
            FloatVector.fromMemorySegment(F, ALL, scales + 2 * LINE, LE).mul(unit),
            FloatVector.fromMemorySegment(F, ALL, sums + 2 * LINE, LE))
        .intoMemorySegment(ALL, sums + 2 * LINE, LE);
    high(p)
        .fma(
            FloatVector.fromMemorySegment(F, ALL, scales + 3 * LINE, LE).mul(unit),
            FloatVector.fromMemorySegment(F, ALL, sums + 3 * LINE, LE))
        .intoMemorySegment(ALL, sums + 3 * LINE, LE);
  }
}

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
 * and loops over addresses end at an address, not at a count: counted loops over long indices
 * become nests of loops with more checks than work.
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
    final int[] factors = new int[PASS];
    final int[] units = new int[PASS];

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
      int b = 0;
      long to = dots;
      for (long block = panel + lane, end = block + group; block != end; to += GROUP) {
        int factors = x.factorsAt(row) + b * 32;
        dots(block + LINE, group, x.factors(), factors, x.offsets()[unit + b++], to);
        block += Q4Matrix.BLOCK_BYTES;
      }
      sums(panel + lane, group, dots, blocks, x.scales(), unit, out, at + lane / 4);
    }
  }

  /** A block of both groups times a row of x. */
  private static void dots(long codes, long group, int[] factors, int at, int offset, long to) {
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
    ALL.asSlice(s.sums, count * (2 * GROUP)).fill((byte) 0);
    long group = (long) x.blocks() * Q4Matrix.BLOCK_BYTES;
    int tiles = Math.ceilDiv(count, TILE) * TILE;
    for (int t = 0; t < tiles; t++) {
      int row = rows[from + Math.min(t, count - 1)];
      s.factors[t] = x.factorsAt(row);
      s.units[t] = x.blocksAt(row);
    }
    int b = 0;
    for (long block = panel, end = panel + group; block != end; block += Q4Matrix.BLOCK_BYTES) {
      for (int lane = 0; lane < LINE; lane += STEP) {
        unpack(block + LINE + lane, group, s.codes + lane);
        unpackScales(block + lane, group, s.scales + lane);
        for (int t = 0; t < tiles; t += TILE) {
          products(x, s, t, b, s.codes + lane, s.products + lane);
          add(x, s, t, b, s.products + lane, s.scales + lane, s.sums + t * (2 * GROUP) + lane);
        }
      }
      b++;
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
    lowScale(s).mul(UNIT).intoMemorySegment(ALL, to, LE);
    highScale(s).mul(UNIT).intoMemorySegment(ALL, to + LINE, LE);
    s = IntVector.fromMemorySegment(I, ALL, block + group, LE);
    lowScale(s).mul(UNIT).intoMemorySegment(ALL, to + 2 * LINE, LE);
    highScale(s).mul(UNIT).intoMemorySegment(ALL, to + 3 * LINE, LE);
  }

  /** Block {@code b} of both groups times the rows of x from {@code t} on. */
  private static void products(Activations x, Scratch s, int t, int b, long codes, long to) {
    int[] factors = x.factors();
    int[] offsets = x.offsets();
    int f0 = s.factors[t] + b * 32;
    int f1 = s.factors[t + 1] + b * 32;
    int f2 = s.factors[t + 2] + b * 32;
    int f3 = s.factors[t + 3] + b * 32;
    ShortVector a0 = IntVector.broadcast(I, offsets[s.units[t] + b]).reinterpretAsShorts();
    ShortVector a1 = IntVector.broadcast(I, offsets[s.units[t + 1] + b]).reinterpretAsShorts();
    ShortVector a2 = IntVector.broadcast(I, offsets[s.units[t + 2] + b]).reinterpretAsShorts();
    ShortVector a3 = IntVector.broadcast(I, offsets[s.units[t + 3] + b]).reinterpretAsShorts();
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

  /** Adds the scaled products to their sums. */
  private static void add(
      Activations x, Scratch s, int t, int b, long products, long scales, long sums) {
    float[] units = x.scales();
    FloatVector s0 = FloatVector.fromMemorySegment(F, ALL, scales, LE);
    FloatVector s1 = FloatVector.fromMemorySegment(F, ALL, scales + LINE, LE);
    FloatVector s2 = FloatVector.fromMemorySegment(F, ALL, scales + 2 * LINE, LE);
    FloatVector s3 = FloatVector.fromMemorySegment(F, ALL, scales + 3 * LINE, LE);
    long to = sums;
    int i = t;
    for (long p = products, end = products + TILE * GROUP; p != end; p += GROUP) {
      float unit = units[s.units[i++] + b];
      IntVector both = IntVector.fromMemorySegment(I, ALL, p, LE);
      FloatVector sum = FloatVector.fromMemorySegment(F, ALL, to, LE);
      low(both).fma(s0.mul(unit), sum).intoMemorySegment(ALL, to, LE);
      sum = FloatVector.fromMemorySegment(F, ALL, to + LINE, LE);
      high(both).fma(s1.mul(unit), sum).intoMemorySegment(ALL, to + LINE, LE);
      both = IntVector.fromMemorySegment(I, ALL, p + LINE, LE);
      sum = FloatVector.fromMemorySegment(F, ALL, to + 2 * LINE, LE);
      low(both).fma(s2.mul(unit), sum).intoMemorySegment(ALL, to + 2 * LINE, LE);
      sum = FloatVector.fromMemorySegment(F, ALL, to + 3 * LINE, LE);
      high(both).fma(s3.mul(unit), sum).intoMemorySegment(ALL, to + 3 * LINE, LE);
      to += 2 * GROUP;
    }
  }
}

package org.moe4j.engine.kernel;

import static org.moe4j.engine.kernel.Vectors.F;
import static org.moe4j.engine.kernel.Vectors.L;

import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorOperators;

/**
 * Attention and the feed-forward's activation on vectors of 512, 256 or 128 bits. Queries go four
 * at a time, as then what is unpacked of a key or value is used four times.
 */
final class AttentionVectors implements AttentionKernels {
  @Override
  public void addHalves(
      MemorySegment page,
      long first,
      int width,
      int columns,
      float[] w,
      int wAt,
      int wStride,
      int weights,
      int from,
      int to,
      float[] out,
      int outAt,
      int outStride) {
    long bytes = 2L * width;
    long row = page.address() + first + from * bytes;
    int count = to - from;
    int r = 0;
    for (; r + 4 <= weights; r += 4) {
      int w0 = wAt + r * wStride + from;
      for (int c = 0; c < columns; c += 2 * L) {
        int sums = outAt + r * outStride + c;
        HalfVectors.four(row + 2L * c, bytes, w, w0, wStride, count, out, sums, outStride);
      }
    }
    for (; r < weights; r++) {
      int w0 = wAt + r * wStride + from;
      HalfVectors.one(row, bytes, columns, w, w0, count, out, outAt + r * outStride);
    }
  }

  @Override
  public void latentScores(
      MemorySegment page, long at, int half, float[] q, int rows, float[] out, int to, int stride) {
    float[] sums = new float[4 * 256];
    int r = 0;
    while (r < rows) {
      int some = r + 4 <= rows ? 4 : 1;
      for (int p = 0; p < CachedHeads.PAGE; p += 16) {
        long keys = page.address() + at + 4L * p * half;
        int place = to + r * stride + p;
        LatentVectors.scores(keys, half, q, r * 2 * half, some, sums, out, place, stride);
      }
      r += some;
    }
  }

  @Override
  public void byteScores(
      MemorySegment page,
      long at,
      long scales,
      int size,
      float[] q,
      int rows,
      float[] out,
      int to,
      int stride) {
    long keys = page.address() + at;
    long units = page.address() + scales;
    int r = 0;
    for (; r + 4 <= rows; r += 4) {
      for (int pair = 0; pair < 2; pair++) {
        for (int lane = 0; lane < 16; lane += L) {
          int i = pair * 32 + lane;
          int sums = to + r * stride + i;
          long four = keys + lane * 4L;
          ByteVectors.fourScores(
              four, 24 - 16 * pair, size, q, r * size, units + i * 4L, out, sums, stride);
        }
      }
    }
    for (; r < rows; r++) {
      ByteVectors.scores(keys, size, q, r * size, units, out, to + r * stride);
    }
  }

  @Override
  public void byteValues(
      MemorySegment page,
      long at,
      long scales,
      int quarter,
      float[] w,
      int wAt,
      int wStride,
      int rows,
      int from,
      int to,
      float[] out,
      int outAt) {
    long values = page.address() + at;
    long units = page.address() + scales;
    int r = 0;
    for (; r + 4 <= rows; r += 4) {
      for (int lane = 0; lane < quarter; lane += L) {
        long first = values + lane * 4L;
        int w0 = wAt + r * wStride;
        for (int pair = 0; pair < 2; pair++) {
          int sums = outAt + r * 4 * quarter + lane + 2 * pair * quarter;
          ByteVectors.fourValues(
              first, 24 - 16 * pair, quarter, w, w0, wStride, units, from, to, out, sums);
        }
      }
    }
    for (; r < rows; r++) {
      int sums = outAt + r * 4 * quarter;
      ByteVectors.values(values, quarter, w, wAt + r * wStride, units, from, to, out, sums);
    }
  }

  @Override
  public float most(float[] x, int from, int to) {
    FloatVector most = FloatVector.broadcast(F, Float.NEGATIVE_INFINITY);
    for (int i = from; i < to; i += L) {
      most = most.max(FloatVector.fromArray(F, x, i));
    }
    return most.reduceLanes(VectorOperators.MAX);
  }

  @Override
  public void exponentials(float[] x, int from, int to, float scale, float most) {
    for (int i = from; i < to; i += L) {
      exp(FloatVector.fromArray(F, x, i).mul(scale).sub(most)).intoArray(x, i);
    }
  }

  @Override
  public void lanes(float[] x, int from, int to, float[] sums) {
    for (int lane = 0; lane < 16; lane += L) {
      FloatVector sum = FloatVector.zero(F);
      for (int i = from + lane; i < to; i += 16) {
        sum = sum.add(FloatVector.fromArray(F, x, i));
      }
      sum.intoArray(sums, lane);
    }
  }

  @Override
  public void merge(float[] x, int at, float a, float[] y, int yAt, float b, int count) {
    for (int i = 0; i < count; i += L) {
      FloatVector more = FloatVector.fromArray(F, y, yAt + i).mul(b);
      FloatVector.fromArray(F, x, at + i).mul(a).add(more).intoArray(x, at + i);
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
    return p.mul(power.lanewise(VectorOperators.LSHL, 23).reinterpretAsFloats());
  }
}

package org.moe4j.engine.kernel;

import static jdk.incubator.vector.VectorOperators.LSHL;
import static org.moe4j.engine.kernel.Vectors.F;
import static org.moe4j.engine.kernel.Vectors.I;
import static org.moe4j.engine.kernel.Vectors.L;
import static org.moe4j.engine.kernel.Vectors.highHalf;
import static org.moe4j.engine.kernel.Vectors.lowHalf;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;

/** Attention and the feed-forward's activation on vectors of 512, 256 or 128 bits. */
final class AttentionVectors implements AttentionKernels {
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

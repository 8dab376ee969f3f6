package org.moe4j.engine.kernel;

import static org.moe4j.engine.kernel.Vectors.F;
import static org.moe4j.engine.kernel.Vectors.L;
import static org.moe4j.engine.kernel.Vectors.lowHalf;
import static org.moe4j.engine.kernel.Vectors.shorts;

import jdk.incubator.vector.FloatVector;

/** The loops of {@link AttentionVectors} over {@link LatentHeads}. */
final class LatentVectors {
  private LatentVectors() {}

  /**
   * Products of queries with 16 positions.
   *
   * @param sums room for 16 partial sums of each product of four queries
   */
  static void scores(
      long keys,
      int half,
      float[] q,
      int q0,
      int rows,
      float[] sums,
      float[] out,
      int to,
      int stride) {
    for (int lane = 0; lane < 16; lane += L) {
      for (int p = 0; p < 16; p++) {
        long key = keys + 4L * p * half;
        if (rows == 4) {
          four(key, half, lane, q, q0, sums, p * 16 + lane);
        } else {
          one(key, half, lane, q, q0, sums, p * 16 + lane);
        }
      }
    }
    for (int r = 0; r < rows; r++) {
      Tree.totals(sums, r * 256, out, to + r * stride);
    }
  }

  private static void one(long key, int half, int lane, float[] q, int q0, float[] sums, int at) {
    FloatVector a = FloatVector.zero(F);
    FloatVector b = a;
    for (int i = lane; i < half; i += 16) {
      FloatVector low = lowHalf(shorts(key + i * 2L));
      FloatVector high = lowHalf(shorts(key + (half + i) * 2L));
      a = low.fma(FloatVector.fromArray(F, q, q0 + i), a);
      b = high.fma(FloatVector.fromArray(F, q, q0 + half + i), b);
    }
    a.add(b).intoArray(sums, at);
  }

  private static void four(long key, int half, int lane, float[] q, int q0, float[] sums, int at) {
    FloatVector a0 = FloatVector.zero(F);
    FloatVector a1 = a0;
    FloatVector a2 = a0;
    FloatVector a3 = a0;
    FloatVector b0 = a0;
    FloatVector b1 = a0;
    FloatVector b2 = a0;
    FloatVector b3 = a0;
    for (int i = lane; i < half; i += 16) {
      FloatVector low = lowHalf(shorts(key + i * 2L));
      FloatVector high = lowHalf(shorts(key + (half + i) * 2L));
      int y = q0 + i;
      a0 = low.fma(FloatVector.fromArray(F, q, y), a0);
      b0 = high.fma(FloatVector.fromArray(F, q, y + half), b0);
      a1 = low.fma(FloatVector.fromArray(F, q, y + 2 * half), a1);
      b1 = high.fma(FloatVector.fromArray(F, q, y + 3 * half), b1);
      a2 = low.fma(FloatVector.fromArray(F, q, y + 4 * half), a2);
      b2 = high.fma(FloatVector.fromArray(F, q, y + 5 * half), b2);
      a3 = low.fma(FloatVector.fromArray(F, q, y + 6 * half), a3);
      b3 = high.fma(FloatVector.fromArray(F, q, y + 7 * half), b3);
    }
    a0.add(b0).intoArray(sums, at);
    a1.add(b1).intoArray(sums, at + 256);
    a2.add(b2).intoArray(sums, at + 512);
    a3.add(b3).intoArray(sums, at + 768);
  }
}

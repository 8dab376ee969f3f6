package org.moe4j.engine.kernel;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/** 4-bit matrices number by number: the fallback, and what vectors must equal. */
final class Q4Scalars implements Q4Kernels {
  private static final ValueLayout.OfInt INT = ValueLayout.JAVA_INT_UNALIGNED;

  @Override
  public void q4(
      MemorySegment w, long panel, Activations x, int[] rows, int from, int count, float[] out) {
    long group = (long) x.blocks() * Q4Matrix.BLOCK_BYTES;
    for (int i = 0; i < count; i++) {
      for (int r = 0; r < Matrix.PANEL; r++) {
        out[i * Matrix.PANEL + r] = q4(w, panel + r / 32 * group, r % 32, x, rows[from + i]);
      }
    }
  }

  private static float q4(MemorySegment w, long group, int r, Activations x, int row) {
    float sum = 0;
    for (int b = 0; b < x.blocks(); b++) {
      long block = group + (long) b * Q4Matrix.BLOCK_BYTES;
      int products = 0;
      for (int v = 0; v < 4; v++) {
        int codes = w.get(INT, block + place(r, 256, v));
        for (int j = 0; j < 4; j++) {
          int pair = x.pairs()[x.pairsAt(row) + b * 16 + 4 * v + j];
          products += (((codes >> (4 * j)) & 15) - 8) * (short) pair;
          products += (((codes >> (16 + 4 * j)) & 15) - 8) * (pair >> 16);
        }
      }
      float scale = scale(w, block, r) * x.scales()[x.blocksAt(row) + b];
      sum = Math.fma((float) products, scale, sum);
    }
    return sum;
  }

  /** Where int {@code v} of row r's codes lies in a block of 32 rows. */
  static int place(int r, int sixteen, int v) {
    return 64 + r / 16 * sixteen + v * 64 + r % 16 * 4;
  }

  /** Rows i and i + 16 of a group keep their half-precision scales in one int. */
  static float scale(MemorySegment w, long block, int r) {
    int both = w.get(INT, block + r % 16 * 4L);
    return Float.float16ToFloat((short) (both >> (r / 16 * 16)));
  }
}

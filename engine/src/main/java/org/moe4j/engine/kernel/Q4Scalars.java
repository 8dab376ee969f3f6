package org.moe4j.engine.kernel;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/** 4-bit matrices number by number: the fallback, and what vectors must equal. */
final class Q4Scalars implements Q4Kernels {
  private static final ValueLayout.OfShort SHORT = ValueLayout.JAVA_SHORT_UNALIGNED;

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
      int u = x.blocksAt(row) + b;
      short dot = (short) x.offsets()[u];
      for (int n = 0; n < 8; n++) {
        int codes = w.get(SHORT, block + Q4Matrix.place(n + 1, r)) & 0xffff;
        for (int j = 0; j < 4; j++) {
          int factor = x.factors()[x.factorsAt(row) + b * 32 + n * 4 + j];
          dot += (short) ((codes >>> (4 * j)) * factor);
        }
      }
      float scale = Float.float16ToFloat(w.get(SHORT, block + Q4Matrix.place(0, r)));
      sum = Math.fma((float) dot, scale * x.scales()[u], sum);
    }
    return sum;
  }
}

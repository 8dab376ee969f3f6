package org.moe4j.engine.kernel;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/** The loops without vectors, number by number: the fallback, and what the others must equal. */
final class ScalarKernels implements Kernels {
  private static final ValueLayout.OfInt INT = ValueLayout.JAVA_INT_UNALIGNED;
  private static final ValueLayout.OfFloat FLOAT = ValueLayout.JAVA_FLOAT_UNALIGNED;

  @Override
  public void q4(
      MemorySegment w, long panel, Activations x, int[] rows, int from, int count, float[] out) {
    long group = (long) x.blocks() * Q4Matrix.BLOCK_BYTES;
    for (int i = 0; i < count; i++) {
      for (int r = 0; r < PANEL; r++) {
        out[i * PANEL + r] = q4(w, panel + r / 32 * group, r % 32, x, rows[from + i]);
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
  private static int place(int r, int sixteen, int v) {
    return 64 + r / 16 * sixteen + v * 64 + r % 16 * 4;
  }

  /** Rows i and i + 16 of a group keep their half-precision scales in one int. */
  static float scale(MemorySegment w, long block, int r) {
    int both = w.get(INT, block + r % 16 * 4L);
    return Float.float16ToFloat((short) (both >> (r / 16 * 16)));
  }

  @Override
  public void q8(
      MemorySegment w, long panel, Activations x, int[] rows, int from, int count, float[] out) {
    long group = (long) x.blocks() * Q8Matrix.BLOCK_BYTES;
    for (int i = 0; i < count; i++) {
      for (int r = 0; r < PANEL; r++) {
        out[i * PANEL + r] = q8(w, panel + r / 32 * group, r % 32, x, x.at(rows[from + i]));
      }
    }
  }

  private static float q8(MemorySegment w, long group, int r, Activations x, int at) {
    float sum = 0;
    for (int b = 0; b < x.blocks(); b++) {
      long block = group + (long) b * Q8Matrix.BLOCK_BYTES;
      float products = 0;
      for (int c = 0; c < 32; c++) {
        byte code = w.get(ValueLayout.JAVA_BYTE, block + place(r, 512, c / 4) + c % 4);
        products = Math.fma((float) code, x.values()[at + b * 32 + c], products);
      }
      sum = Math.fma(products, scale(w, block, r), sum);
    }
    return sum;
  }

  @Override
  public void f32(
      MemorySegment w, long panel, Activations x, int[] rows, int from, int count, float[] out) {
    for (int i = 0; i < count; i++) {
      int at = x.at(rows[from + i]);
      for (int r = 0; r < PANEL; r++) {
        float sum = 0;
        for (int c = 0; c < x.columns(); c++) {
          float weight = w.get(FLOAT, panel + ((long) c * PANEL + r) * 4);
          sum = Math.fma(weight, x.values()[at + c], sum);
        }
        out[i * PANEL + r] = sum;
      }
    }
  }
}

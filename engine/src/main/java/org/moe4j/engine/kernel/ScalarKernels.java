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
      MemorySegment w,
      long panel,
      Activations x,
      boolean rounded,
      int[] rows,
      int from,
      int count,
      float[] out) {
    long group = (long) x.blocks() * Q8Matrix.BLOCK_BYTES;
    for (int i = 0; i < count; i++) {
      for (int r = 0; r < PANEL; r++) {
        out[i * PANEL + r] = q8(w, panel + r / 32 * group, r % 32, x, rounded, rows[from + i]);
      }
    }
  }

  private static float q8(
      MemorySegment w, long group, int r, Activations x, boolean rounded, int row) {
    float[] values = rounded ? x.codes() : x.values();
    int at = x.at(row);
    float sum = 0;
    for (int b = 0; b < x.blocks(); b++) {
      long block = group + (long) b * Q8Matrix.BLOCK_BYTES;
      float products = 0;
      for (int c = 0; c < 32; c++) {
        byte code = w.get(ValueLayout.JAVA_BYTE, block + place(r, 512, c / 4) + c % 4);
        products = Math.fma((float) code, values[at + b * 32 + c], products);
      }
      float unit = rounded ? x.scales()[x.blocksAt(row) + b] : 1f;
      sum = Math.fma(products, scale(w, block, r) * unit, sum);
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

  @Override
  public void scores(int[] keys, int at, float[] q, int qAt, int size, float[] out, int to) {
    for (int i = 0; i < Attention.PAGE; i++) {
      float sum = 0;
      for (int d = 0; d < size; d++) {
        sum = Math.fma(Numbers.half(keys[at + d * 32 + i % 32], i >= 32), q[qAt + d], sum);
      }
      out[to + i] = sum;
    }
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
    for (int i = 0; i < 2 * half; i++) {
      for (int p = 0; p < count; p++) {
        float v = Numbers.half(values[at + p * stride + i % half], i >= half);
        out[to + i] = Math.fma(v, weights[from + p], out[to + i]);
      }
    }
  }

  @Override
  public void exponentials(float[] x, int count, float scale, float most) {
    for (int i = 0; i < count; i++) {
      x[i] = Numbers.exp(x[i] * scale - most);
    }
  }

  @Override
  public void swiglu(float[] gate, int at, float[] up, int upAt, int count) {
    for (int i = 0; i < count; i++) {
      gate[at + i] = Numbers.silu(gate[at + i]) * up[upAt + i];
    }
  }
}

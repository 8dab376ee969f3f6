package org.moe4j.engine.kernel;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/** 8-bit and float matrices number by number: the fallback, and what vectors must equal. */
final class FloatScalars implements FloatKernels {
  private static final ValueLayout.OfFloat FLOAT = ValueLayout.JAVA_FLOAT_UNALIGNED;

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
      for (int r = 0; r < Matrix.PANEL; r++) {
        out[i * Matrix.PANEL + r] = q8(w, panel + r / 32 * group, r % 32, x, rounded, rows[from + i]);
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
        byte code = w.get(ValueLayout.JAVA_BYTE, block + Q4Scalars.place(r, 512, c / 4) + c % 4);
        products = Math.fma((float) code, values[at + b * 32 + c], products);
      }
      float unit = rounded ? x.scales()[x.blocksAt(row) + b] : 1f;
      sum = Math.fma(products, Q4Scalars.scale(w, block, r) * unit, sum);
    }
    return sum;
  }

  @Override
  public void f32(
      MemorySegment w, long panel, Activations x, int[] rows, int from, int count, float[] out) {
    for (int i = 0; i < count; i++) {
      int at = x.at(rows[from + i]);
      for (int r = 0; r < Matrix.PANEL; r++) {
        float sum = 0;
        for (int c = 0; c < x.columns(); c++) {
          float weight = w.get(FLOAT, panel + ((long) c * Matrix.PANEL + r) * 4);
          sum = Math.fma(weight, x.values()[at + c], sum);
        }
        out[i * Matrix.PANEL + r] = sum;
      }
    }
  }
}

package org.moe4j.engine.kernel;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;

/** Attention number by number: the fallback, and what vectors must equal. */
final class AttentionScalars implements AttentionKernels {
  private static final ValueLayout.OfFloat FLOAT = ValueLayout.JAVA_FLOAT_UNALIGNED;

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
    for (int r = 0; r < weights; r++) {
      for (int i = from; i < to; i++) {
        float weight = w[wAt + r * wStride + i];
        for (int c = 0; c < columns; c++) {
          int sum = outAt + r * outStride + c;
          out[sum] = Math.fma(half(page, first + 2L * i * width + 2L * c), weight, out[sum]);
        }
      }
    }
  }

  private static float half(MemorySegment page, long at) {
    return Float.float16ToFloat(page.get(ValueLayout.JAVA_SHORT_UNALIGNED, at));
  }

  @Override
  public void latentScores(
      MemorySegment page, long at, int half, float[] q, int rows, float[] out, int to, int stride) {
    float[] low = new float[16];
    float[] high = new float[16];
    for (int r = 0; r < rows; r++) {
      for (int p = 0; p < CachedHeads.PAGE; p++) {
        Arrays.fill(low, 0f);
        Arrays.fill(high, 0f);
        for (int i = 0; i < half; i++) {
          long number = at + 4L * p * half + 2L * i;
          int y = r * 2 * half + i;
          low[i % 16] = Math.fma(half(page, number), q[y], low[i % 16]);
          high[i % 16] = Math.fma(half(page, number + 2L * half), q[y + half], high[i % 16]);
        }
        for (int i = 0; i < 16; i++) {
          low[i] += high[i];
        }
        for (int apart = 8; apart > 0; apart /= 2) {
          for (int i = 0; i < apart; i++) {
            low[i] += low[i + apart];
          }
        }
        out[to + r * stride + p] = low[0];
      }
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
    for (int r = 0; r < rows; r++) {
      for (int i = 0; i < CachedHeads.PAGE; i++) {
        float sum = 0;
        for (int d = 0; d < size; d++) {
          byte code = page.get(ValueLayout.JAVA_BYTE, at + d * 64L + i % 16 * 4L + i / 16);
          sum = Math.fma((float) code, q[r * size + d], sum);
        }
        out[to + r * stride + i] = sum * page.get(FLOAT, scales + i * 4L);
      }
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
    for (int r = 0; r < rows; r++) {
      for (int p = from; p < to; p++) {
        float weight = w[wAt + r * wStride + p] * page.get(FLOAT, scales + p * 4L);
        for (int i = 0; i < 4 * quarter; i++) {
          long place = at + ((long) p * quarter + i % quarter) * 4 + i / quarter;
          int sum = outAt + r * 4 * quarter + i;
          out[sum] = Math.fma((float) page.get(ValueLayout.JAVA_BYTE, place), weight, out[sum]);
        }
      }
    }
  }

  @Override
  public float most(float[] x, int from, int to) {
    float most = Float.NEGATIVE_INFINITY;
    for (int i = from; i < to; i++) {
      most = Math.max(most, x[i]);
    }
    return most;
  }

  @Override
  public void exponentials(float[] x, int from, int to, float scale, float most) {
    for (int i = from; i < to; i++) {
      x[i] = Numbers.exp(x[i] * scale - most);
    }
  }

  @Override
  public void lanes(float[] x, int from, int to, float[] sums) {
    for (int i = from; i < to; i++) {
      sums[i % 16] += x[i];
    }
  }

  @Override
  public void merge(float[] x, int at, float a, float[] y, int yAt, float b, int count) {
    for (int i = 0; i < count; i++) {
      x[at + i] = x[at + i] * a + y[yAt + i] * b;
    }
  }

  @Override
  public void swiglu(float[] gate, int at, float[] up, int upAt, int count) {
    for (int i = 0; i < count; i++) {
      gate[at + i] = Numbers.silu(gate[at + i]) * up[upAt + i];
    }
  }
}

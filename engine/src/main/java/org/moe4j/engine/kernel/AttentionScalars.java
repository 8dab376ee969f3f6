package org.moe4j.engine.kernel;

/** Attention number by number: the fallback, and what vectors must equal. */
final class AttentionScalars implements AttentionKernels {
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

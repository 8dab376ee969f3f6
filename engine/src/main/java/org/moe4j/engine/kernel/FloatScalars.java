package org.moe4j.engine.kernel;

import java.util.Arrays;
import org.moe4j.engine.gguf.Dequantise;

/** Stored blocks number by number: the fallback, and what vectors must equal. */
final class FloatScalars implements FloatKernels {
  @Override
  public void multiply(
      BlockMatrix w, int first, Activations x, int[] rows, int from, int count, float[] out) {
    float[] weights = new float[Math.ceilDiv(w.columns(), BlockMatrix.PARTIALS) * 16];
    float[] partials = new float[BlockMatrix.PARTIALS];
    for (int r = 0; r < Math.min(Matrix.PANEL, w.rows() - first); r++) {
      long at = (first + r) * w.rowBytes();
      Dequantise.row(w.type(), w.weights(), at, w.columns(), weights, 0);
      for (int i = 0; i < count; i++) {
        Arrays.fill(partials, 0f);
        add(weights, x.values(), x.at(rows[from + i]), partials);
        out[i * Matrix.PANEL + r] = total(partials);
      }
    }
  }

  private static void add(float[] weights, float[] x, int at, float[] partials) {
    for (int c = 0; c < weights.length; c++) {
      int p = c % BlockMatrix.PARTIALS;
      partials[p] = Math.fma(weights[c], x[at + c], partials[p]);
    }
  }

  private static float total(float[] partials) {
    for (int apart = BlockMatrix.PARTIALS / 2; apart > 0; apart /= 2) {
      for (int i = 0; i < apart; i++) {
        partials[i] += partials[apart + i];
      }
    }
    return partials[0];
  }
}

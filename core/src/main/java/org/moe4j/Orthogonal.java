package org.moe4j;

import org.moe4j.tensor.DType;
import org.moe4j.tensor.RandomSource;
import org.moe4j.tensor.Tensor;

/**
 * Orthogonal rows of equal length (of more rows than columns: orthogonal columns), in a random
 * direction: normal vectors made orthogonal one after the other (S09's expert embeddings).
 *
 * @param gain the length of each
 */
record Orthogonal(double gain) implements Init {
  @Override
  public Tensor make(RandomSource random, long... shape) {
    boolean wide = shape[0] <= shape[1];
    int vectors = Math.toIntExact(wide ? shape[0] : shape[1]);
    int length = Math.toIntExact(wide ? shape[1] : shape[0]);
    double[] v = random.normal(0, 1, DType.F64, vectors, length).toDoubles();
    for (int i = 0; i < vectors; i++) {
      // Twice: once leaves rounding errors of nearly parallel vectors.
      for (int j = 0; j < 2 * i; j++) {
        int other = j % i;
        double dot = dot(v, i, other, length);
        for (int c = 0; c < length; c++) {
          v[i * length + c] -= dot * v[other * length + c];
        }
      }
      double norm = Math.sqrt(dot(v, i, i, length));
      for (int c = 0; c < length; c++) {
        v[i * length + c] /= norm;
      }
    }
    Tensor rows = Tensor.of(v, vectors, length).mul(gain).to(DType.F32);
    return wide ? rows : rows.t().contiguous();
  }

  private static double dot(double[] v, int i, int j, int length) {
    double sum = 0;
    for (int c = 0; c < length; c++) {
      sum += v[i * length + c] * v[j * length + c];
    }
    return sum;
  }
}

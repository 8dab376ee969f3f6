package org.moe4j.lab;

/** Linear least squares of a few unknowns, by an orthogonal basis of the columns. */
final class LeastSquares {
  private LeastSquares() {}

  /**
   * The x that makes |A x - y| smallest; an unknown whose column follows from those before it is 0.
   *
   * @param columns of A
   */
  static double[] solve(double[][] columns, double[] y) {
    int n = columns.length;
    double[][] q = new double[n][];
    double[][] r = new double[n][n];
    double[] x = new double[n];
    double[] rest = y.clone();
    double[] projected = new double[n];
    for (int j = 0; j < n; j++) {
      double[] v = columns[j].clone();
      double before = Math.sqrt(dot(v, v));
      // Twice, because once leaves a rounding error of columns that are nearly parallel.
      for (int pass = 0; pass < 2; pass++) {
        for (int i = 0; i < j; i++) {
          double part = dot(q[i], v);
          r[i][j] += part;
          subtract(v, q[i], part);
        }
      }
      double norm = Math.sqrt(dot(v, v));
      r[j][j] = norm > 1e-10 * before ? norm : 0;
      for (int k = 0; k < v.length; k++) {
        v[k] = r[j][j] == 0 ? 0 : v[k] / norm;
      }
      q[j] = v;
      projected[j] = dot(v, rest);
      subtract(rest, v, projected[j]);
    }
    for (int j = n - 1; j >= 0; j--) {
      double sum = projected[j];
      for (int k = j + 1; k < n; k++) {
        sum -= r[j][k] * x[k];
      }
      x[j] = r[j][j] == 0 ? 0 : sum / r[j][j];
    }
    return x;
  }

  private static double dot(double[] a, double[] b) {
    double sum = 0;
    for (int i = 0; i < a.length; i++) {
      sum += a[i] * b[i];
    }
    return sum;
  }

  private static void subtract(double[] from, double[] what, double times) {
    for (int i = 0; i < from.length; i++) {
      from[i] -= times * what[i];
    }
  }
}

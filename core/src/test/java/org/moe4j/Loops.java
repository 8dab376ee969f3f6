package org.moe4j;

import java.util.Arrays;

/** The formulas once more, as plain loops over doubles. */
final class Loops {
  private Loops() {}

  static double[] softmax(double[] z) {
    double max = Arrays.stream(z).max().orElse(0);
    double[] p = Arrays.stream(z).map(v -> Math.exp(v - max)).toArray();
    double sum = Arrays.stream(p).sum();
    return Arrays.stream(p).map(v -> v / sum).toArray();
  }

  static double sigmoid(double z) {
    return 1 / (1 + Math.exp(-z));
  }

  /** The k largest by repeated search; the first among equals. */
  static int[] top(double[] v, int k) {
    boolean[] taken = new boolean[v.length];
    int[] out = new int[k];
    for (int j = 0; j < k; j++) {
      int best = -1;
      for (int i = 0; i < v.length; i++) {
        if (!taken[i] && (best < 0 || v[i] > v[best])) {
          best = i;
        }
      }
      taken[best] = true;
      out[j] = best;
    }
    return out;
  }

  static double logSumExp(double[] z) {
    double max = Arrays.stream(z).max().orElse(0);
    return max + Math.log(Arrays.stream(z).map(v -> Math.exp(v - max)).sum());
  }

  static double[] matvec(double[][] w, double[] x) {
    return Arrays.stream(w)
        .mapToDouble(
            row -> {
              double sum = 0;
              for (int i = 0; i < x.length; i++) {
                sum += row[i] * x[i];
              }
              return sum;
            })
        .toArray();
  }

  /** The squared coefficient of variation with the population's variance. */
  static double variation(double[] v) {
    double mean = Arrays.stream(v).average().orElse(0);
    double variance = Arrays.stream(v).map(x -> (x - mean) * (x - mean)).sum() / v.length;
    return variance / (mean * mean + 1e-10);
  }

  static double activation(Activation a, double x) {
    return switch (a) {
      case RELU -> Math.max(x, 0);
      case SILU -> x * sigmoid(x);
      case GELU_TANH ->
          0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x * x * x)));
      case GELU -> x * phi(x);
      case QUICK_GELU -> x * sigmoid(1.702 * x);
    };
  }

  /** The standard normal distribution function by numerical integration (Simpson's rule). */
  static double phi(double x) {
    int n = 2000;
    double h = x / n;
    double sum = 0;
    for (int i = 0; i <= n; i++) {
      double t = i * h;
      double weight = i == 0 || i == n ? 1 : i % 2 == 1 ? 4 : 2;
      sum += weight * Math.exp(-t * t / 2);
    }
    return 0.5 + sum * h / 3 / Math.sqrt(2 * Math.PI);
  }

  /** One expert of the given form. */
  static double[] expert(
      ExpertForm form,
      double[][] in,
      double[][] out,
      double[] inBias,
      double[] outBias,
      double[] x) {
    double[] p = matvec(in, x);
    for (int i = 0; i < inBias.length; i++) {
      p[i] += inBias[i];
    }
    int h = form.gated() ? p.length / 2 : p.length;
    double[] hidden = new double[h];
    for (int i = 0; i < h; i++) {
      double limit = form.clamp().limit();
      double up = form.gated() ? Math.clamp(p[h + i], -limit, limit) + form.clamp().shift() : 1;
      hidden[i] = activation(form.activation(), Math.min(p[i], limit)) * up;
    }
    double[] y = matvec(out, hidden);
    for (int i = 0; i < outBias.length; i++) {
      y[i] += outBias[i];
    }
    return y;
  }
}

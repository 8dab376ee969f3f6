package org.moe4j.lab;

import java.util.Arrays;
import java.util.List;

/** Means, middles and spreads. */
public final class Statistics {
  private Statistics() {}

  /** The mean. */
  public static double mean(List<Double> values) {
    return mean(values.stream().mapToDouble(v -> v).toArray());
  }

  static double mean(double... values) {
    return Arrays.stream(values).average().orElse(Double.NaN);
  }

  /** The middle one, or the mean of the middle two; NaN if there is none. */
  static double median(double... values) {
    double[] sorted = Arrays.stream(values).sorted().toArray();
    int n = sorted.length;
    return n == 0 ? Double.NaN : (sorted[(n - 1) / 2] + sorted[n / 2]) / 2;
  }

  /** The sample's standard deviation; 0 of a single value. */
  static double deviation(double... values) {
    double mean = mean(values);
    double sum = Arrays.stream(values).map(v -> (v - mean) * (v - mean)).sum();
    return values.length < 2 ? 0 : Math.sqrt(sum / (values.length - 1));
  }
}

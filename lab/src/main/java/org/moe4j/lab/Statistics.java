package org.moe4j.lab;

import java.util.Arrays;
import java.util.List;

/** Means and spreads over seeds. */
public final class Statistics {
  private Statistics() {}

  /** The mean. */
  public static double mean(List<Double> values) {
    return mean(values.stream().mapToDouble(v -> v).toArray());
  }

  static double mean(double... values) {
    return Arrays.stream(values).average().orElse(Double.NaN);
  }

  /** The sample's standard deviation; 0 of a single value. */
  static double deviation(double... values) {
    double mean = mean(values);
    double sum = Arrays.stream(values).map(v -> (v - mean) * (v - mean)).sum();
    return values.length < 2 ? 0 : Math.sqrt(sum / (values.length - 1));
  }
}

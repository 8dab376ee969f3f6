package org.moe4j.train.report;

import java.util.Arrays;
import java.util.Locale;

/** One measured quantity over the steps of a run; NaN where a value was not a finite number. */
final class Series {
  private double[] steps = new double[256];
  private double[] values = new double[256];
  private int size;

  void add(double step, double value) {
    if (size == steps.length) {
      steps = Arrays.copyOf(steps, 2 * size);
      values = Arrays.copyOf(values, 2 * size);
    }
    steps[size] = step;
    values[size++] = Double.isFinite(value) ? value : Double.NaN;
  }

  int size() {
    return size;
  }

  boolean isEmpty() {
    return size == 0;
  }

  double step(int i) {
    return steps[i];
  }

  double value(int i) {
    return values[i];
  }

  /** The last value that is a number, or NaN. */
  double last() {
    for (int i = size - 1; i >= 0; i--) {
      if (!Double.isNaN(values[i])) {
        return values[i];
      }
    }
    return Double.NaN;
  }

  /** The middle one of the values, or NaN. */
  double median() {
    double[] sorted =
        Arrays.stream(values, 0, size).filter(v -> !Double.isNaN(v)).sorted().toArray();
    return sorted.length == 0 ? Double.NaN : sorted[sorted.length / 2];
  }

  /** How many values are no numbers. */
  long missing() {
    return Arrays.stream(values, 0, size).filter(Double::isNaN).count();
  }

  /**
   * The mean of up to {@code reach} points to either side of each, as many before as behind but for
   * the end, so that a falling curve has no lag.
   */
  Series smoothed(int reach) {
    double[] sums = new double[size + 1];
    int[] counts = new int[size + 1];
    for (int i = 0; i < size; i++) {
      boolean number = !Double.isNaN(values[i]);
      sums[i + 1] = sums[i] + (number ? values[i] : 0);
      counts[i + 1] = counts[i] + (number ? 1 : 0);
    }
    Series out = new Series();
    for (int i = 0; i < size; i++) {
      int from = Math.max(0, i - reach);
      int to = Math.min(size, i + Math.min(reach, i) + 1);
      out.add(steps[i], (sums[to] - sums[from]) / (counts[to] - counts[from]));
    }
    return out;
  }

  /** At most {@code limit} points: of each run of points the lowest and the highest stay. */
  Series thinned(int limit) {
    if (size <= limit) {
      return this;
    }
    Series out = new Series();
    int buckets = Math.max(1, limit / 2);
    for (int b = 0; b < buckets; b++) {
      int from = (int) ((long) size * b / buckets);
      int to = (int) ((long) size * (b + 1) / buckets);
      int low = from;
      int high = from;
      for (int i = from + 1; i < to; i++) {
        low = Double.isNaN(values[low]) || values[i] < values[low] ? i : low;
        high = Double.isNaN(values[high]) || values[i] > values[high] ? i : high;
      }
      out.add(steps[Math.min(low, high)], values[Math.min(low, high)]);
      if (low != high) {
        out.add(steps[Math.max(low, high)], values[Math.max(low, high)]);
      }
    }
    return out;
  }

  /** In words, for those who do not see the chart. */
  String description() {
    if (Double.isNaN(last())) {
      return "no numbers";
    }
    int first = 0;
    while (Double.isNaN(values[first])) {
      first++;
    }
    int end = size - 1;
    while (Double.isNaN(values[end])) {
      end--;
    }
    return String.format(
        Locale.ROOT,
        "from %s at step %.0f to %s at step %.0f",
        Numbers.brief(values[first]),
        steps[first],
        Numbers.brief(values[end]),
        steps[end]);
  }
}

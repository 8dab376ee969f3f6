package org.moe4j.lab;

import java.util.ArrayList;
import java.util.List;

/** A quantity over the steps of a run. */
public record Curve(List<Long> steps, List<Double> values) {
  /** Copies both. */
  public Curve {
    steps = List.copyOf(steps);
    values = List.copyOf(values);
  }

  /**
   * One value a step, from step 1, as at most {@code points} means of neighbours; each stands at
   * the last of its steps.
   */
  public static Curve of(List<Double> values, int points) {
    List<Long> steps = new ArrayList<>();
    List<Double> means = new ArrayList<>();
    int n = values.size();
    int buckets = Math.min(points, n);
    for (int b = 0; b < buckets; b++) {
      int from = (int) ((long) n * b / buckets);
      int to = (int) ((long) n * (b + 1) / buckets);
      steps.add((long) to);
      means.add(Statistics.mean(values.subList(from, to)));
    }
    return new Curve(steps, means);
  }
}

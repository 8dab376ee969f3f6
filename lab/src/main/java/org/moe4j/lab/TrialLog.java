package org.moe4j.lab;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.ToDoubleFunction;
import org.moe4j.RoutingStats;

/** What the steps of a language model's training gave. */
final class TrialLog {
  private static final int POINTS = 60;

  private final List<Double> losses = new ArrayList<>();
  private final List<Double> imbalances = new ArrayList<>();
  private final List<Double> drops = new ArrayList<>();
  private final Map<String, List<Double>> further = new LinkedHashMap<>();
  private double seconds;

  /** A step's loss, what its sparse layers did, and its time. */
  void add(double loss, List<RoutingStats> routing, double stepSeconds) {
    losses.add(loss);
    seconds += stepSeconds;
    if (!routing.isEmpty()) {
      imbalances.add(mean(routing, RoutingStats::imbalance));
      drops.add(mean(routing, RoutingStats::dropRate));
    }
  }

  /** A further quantity of a step. */
  void add(String name, double value) {
    further.computeIfAbsent(name, n -> new ArrayList<>()).add(value);
  }

  private static double mean(List<RoutingStats> layers, ToDoubleFunction<RoutingStats> quantity) {
    return layers.stream().mapToDouble(quantity).average().orElse(0);
  }

  /** Whether there are sparse layers. */
  boolean isSparse() {
    return !imbalances.isEmpty();
  }

  /** Seconds of all steps. */
  double seconds() {
    return seconds;
  }

  /** The loss, the drops and further quantities of the last tenth. */
  Map<String, Double> values() {
    Map<String, Double> values = new HashMap<>();
    values.put(Metric.TRAINING_LOSS.key(), end(losses));
    if (isSparse()) {
      values.put(Metric.DROPPED.key(), end(drops));
    }
    further.forEach((name, steps) -> values.put(name, end(steps)));
    return values;
  }

  /** Loss, imbalance, drops and further quantities over the steps. */
  Map<String, Curve> curves() {
    Map<String, Curve> curves = new HashMap<>();
    curves.put("loss", Curve.of(losses, POINTS));
    if (isSparse()) {
      curves.put("imbalance", Curve.of(imbalances, POINTS));
      curves.put("dropped", Curve.of(drops, POINTS));
    }
    further.forEach((name, steps) -> curves.put(name, Curve.of(steps, POINTS)));
    return curves;
  }

  private static double end(List<Double> values) {
    int n = values.size();
    return Statistics.mean(values.subList(n - Math.max(1, n / 10), n));
  }
}

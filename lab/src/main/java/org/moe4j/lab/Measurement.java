package org.moe4j.lab;

import java.util.HashMap;
import java.util.Map;
import java.util.Optional;
import org.moe4j.train.report.RoutingTable;

/**
 * What one run of an arm with one seed gave.
 *
 * @param values final quantities by {@link Metric#key}
 * @param curves quantities over the steps, by name; the report draws each under its name: {@code
 *     loss}, {@code imbalance}, {@code dropped}, else what the axis shows
 * @param routing who went where at the end
 * @param seconds of its steps
 */
public record Measurement(
    Map<String, Double> values,
    Map<String, Curve> curves,
    Optional<RoutingTable> routing,
    double seconds) {
  /** Copies both maps. */
  public Measurement {
    values = Map.copyOf(values);
    curves = Map.copyOf(curves);
  }

  /** The same with one more final value. */
  public Measurement with(String key, double value) {
    Map<String, Double> more = new HashMap<>(values);
    more.put(key, value);
    return new Measurement(more, curves, routing, seconds);
  }

  /** Final values alone. */
  public static Measurement of(Map<String, Double> values) {
    return new Measurement(values, Map.of(), Optional.empty(), 0);
  }
}

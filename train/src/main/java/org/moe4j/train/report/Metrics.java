package org.moe4j.train.report;

import java.nio.file.Path;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;
import org.moe4j.train.metrics.MetricsWriter;
import tools.jackson.databind.JsonNode;

/** The columns of {@code metrics.jsonl} that a report shows; any of them may be empty. */
final class Metrics {
  /** The key of the loads [L][E], and the prefix of the keys of balance losses. */
  private static final String LOAD = "expert_load";

  private static final String BALANCE = "balance";

  private final Map<String, Series> columns = new LinkedHashMap<>();
  private final Map<String, Series> balance = new LinkedHashMap<>();
  private final LoadHistory load = new LoadHistory();
  private double lastStep = Double.NaN;

  /** Reads {@code file}; lines without a step are passed over. */
  static Metrics read(Path file) {
    Metrics metrics = new Metrics();
    MetricsWriter.forEach(file, metrics::add);
    return metrics;
  }

  private void add(JsonNode line) {
    if (!line.path("step").isNumber()) {
      return;
    }
    double step = line.get("step").doubleValue();
    lastStep = step;
    for (Map.Entry<String, JsonNode> entry : line.properties()) {
      String key = entry.getKey();
      JsonNode value = entry.getValue();
      if (key.equals(LOAD)) {
        load.add(step, value);
      } else if (key.startsWith(BALANCE) && value.isObject()) {
        value.properties().forEach(term -> add(balance, term.getKey(), step, term.getValue()));
      } else if (key.startsWith(BALANCE)) {
        add(balance, key, step, value);
      } else {
        add(columns, key, step, value);
      }
    }
  }

  /** The writer has put null for what JSON has no number for. */
  private static void add(Map<String, Series> to, String key, double step, JsonNode value) {
    if (value.isNumber() || value.isNull()) {
      to.computeIfAbsent(key, k -> new Series())
          .add(step, value.isNull() ? Double.NaN : value.doubleValue());
    }
  }

  /** A column by its key; empty if there is none. */
  Series column(String key) {
    return columns.getOrDefault(key, new Series());
  }

  /** The balance losses by name. */
  Map<String, Series> balance() {
    return Collections.unmodifiableMap(balance);
  }

  LoadHistory load() {
    return load;
  }

  /** The step of the last line, or NaN. */
  double lastStep() {
    return lastStep;
  }
}

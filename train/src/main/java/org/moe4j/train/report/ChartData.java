package org.moe4j.train.report;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.DoubleUnaryOperator;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.json.JsonMapper;

/** What the page's script draws, as one JSON object. Counts are exact, curves have six digits. */
final class ChartData {
  static final int MOST_DOMAINS = 60;
  private static final int MOST_POINTS = 1500;
  private static final int MOST_IMBALANCES = 6000;
  private static final JsonMapper JSON = new JsonMapper();

  private ChartData() {}

  /** The data of {@code run}; what the run lacks is absent or empty. */
  static String json(RunFolder run) {
    Metrics metrics = run.metrics();
    Map<String, Object> data = new LinkedHashMap<>();
    Series loss = metrics.column("loss");
    data.put("loss", points(loss));
    data.put("loss_smooth", points(smoothed(loss)));
    data.put("val_loss", points(metrics.column("val_loss")));
    data.put("val_bpb", points(metrics.column("val_bpb")));
    data.put("baselines", baselines(run));
    data.put("lr", points(metrics.column("lr")));
    data.put("grad_norm", points(metrics.column("grad_norm")));
    data.put("tokens_per_s", points(metrics.column("tokens_per_s")));
    data.put("balance", named(metrics.balance()));
    data.put("load", load(run));
    run.routing().ifPresent(table -> data.put("routing", routing(table.largest(MOST_DOMAINS))));
    return JSON.writeValueAsString(data);
  }

  /** A curve without its noise: averaged over a twenty-fifth of the run. */
  static Series smoothed(Series curve) {
    return curve.smoothed(Math.max(3, curve.size() / 50));
  }

  private static Map<String, Object> points(Series series) {
    return points(series, MOST_POINTS);
  }

  private static Map<String, Object> points(Series series, int limit) {
    Series shown = series.thinned(limit);
    List<@Nullable Number> x = new ArrayList<>();
    List<@Nullable Number> y = new ArrayList<>();
    for (int i = 0; i < shown.size(); i++) {
      x.add(Numbers.exact(shown.step(i)));
      y.add(Numbers.charted(shown.value(i)));
    }
    return Map.of("x", x, "y", y);
  }

  private static List<Map<String, Object>> named(Map<String, Series> series) {
    List<Map<String, Object>> list = new ArrayList<>();
    series.forEach((name, s) -> list.add(Map.of("name", name, "points", points(s))));
    return list;
  }

  private static Map<String, Double> baselines(RunFolder run) {
    Map<String, Double> baselines = new LinkedHashMap<>();
    for (int order : new int[] {2, 0}) {
      run.number("baseline_order" + order + "_bpb")
          .ifPresent(bpb -> baselines.put("order-" + order + " byte model", bpb));
    }
    return baselines;
  }

  private static Map<String, Object> load(RunFolder run) {
    LoadHistory history = run.metrics().load();
    List<LoadHistory.Stretch> stretches = history.stretches();
    List<String> names = layerNames(run);
    List<Map<String, Object>> layers = new ArrayList<>();
    for (int l = 0; l < names.size(); l++) {
      int layer = l;
      Map<String, Object> tree = new LinkedHashMap<>();
      tree.put("name", names.get(l));
      int limit = Math.clamp(MOST_IMBALANCES / names.size(), 64, MOST_POINTS);
      tree.put("imbalance", points(history.imbalance().get(l), limit));
      // [E][stretch]: one row of the heat map is one expert.
      tree.put(
          "counts",
          IntStream.range(0, stretches.isEmpty() ? 0 : history.shape()[l])
              .mapToObj(e -> stretches.stream().map(s -> number(s.counts()[layer][e])).toList())
              .toList());
      layers.add(tree);
    }
    return Map.of(
        "from", stretches.stream().map(s -> number(s.from())).toList(),
        "to", stretches.stream().map(s -> number(s.to())).toList(),
        "layers", layers);
  }

  /** The block's number where the routing table knows it; the metrics only number the layers. */
  static List<String> layerNames(RunFolder run) {
    int count = run.metrics().load().shape().length;
    List<LayerRouting> known = run.routing().map(RoutingTable::layers).orElse(List.of());
    return known.size() == count
        ? known.stream().map(layer -> "Layer " + layer.layer()).toList()
        : IntStream.range(0, count).mapToObj(l -> "MoE layer " + (l + 1)).toList();
  }

  static Map<String, Object> routing(RoutingTable table) {
    Map<String, Object> tree = new LinkedHashMap<>();
    tree.put("domains", table.domains());
    tree.put("domain_tokens", table.domainTokens());
    tree.put("layers", table.layers().stream().map(ChartData::layer).toList());
    return tree;
  }

  private static Map<String, Object> layer(LayerRouting layer) {
    Map<String, Object> tree = new LinkedHashMap<>();
    tree.put("name", "Layer " + layer.layer());
    tree.put("specialisation", number(layer.specialisation()));
    tree.put("load", numbers(layer.load(), ChartData::rounded));
    tree.put(
        "counts", Stream.of(layer.counts()).map(row -> numbers(row, ChartData::rounded)).toList());
    tree.put("order", Seriation.order(layer.counts()));
    tree.put("typical", layer.typical());
    return tree;
  }

  /** Whole counts as they are; sums of weights with six digits. */
  private static double rounded(double count) {
    return count == Math.rint(count) ? count : Math.rint(count * 1e6) / 1e6;
  }

  private static List<Number> numbers(double[] values, DoubleUnaryOperator form) {
    return Arrays.stream(values).map(form).mapToObj(ChartData::number).toList();
  }

  private static Number number(double value) {
    Number exact = Numbers.exact(value);
    return exact == null ? 0 : exact;
  }
}

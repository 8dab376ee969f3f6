package org.moe4j.train.report;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalDouble;

/** The numbers one looks for first: validation against the baselines, size, speed, time. */
final class Headline {
  private Headline() {}

  static String html(RunFolder run) {
    String tiles = tiles(run);
    String bars = bars(run);
    return bars.isEmpty() && tiles.isEmpty()
        ? "<p class=\"empty\">No numbers yet.</p>"
        : "<div class=\"headline\">" + bars + "<dl class=\"tiles\">" + tiles + "</dl></div>";
  }

  /** The summary's value, or before there is a summary the last one measured. */
  private static OptionalDouble validation(RunFolder run) {
    OptionalDouble summary = run.number("val_bpb");
    return summary.isPresent() ? summary : present(run.metrics().column("val_bpb").last());
  }

  private static OptionalDouble present(double value) {
    return Double.isNaN(value) ? OptionalDouble.empty() : OptionalDouble.of(value);
  }

  private static String bars(RunFolder run) {
    OptionalDouble model = validation(run);
    if (model.isEmpty()) {
      return "";
    }
    double bpb = model.getAsDouble();
    Map<String, Double> bars = new LinkedHashMap<>();
    bars.put("This model", bpb);
    run.number("baseline_order2_bpb").ifPresent(v -> bars.put("Order-2 bytes", v));
    run.number("baseline_order0_bpb").ifPresent(v -> bars.put("Order-0 bytes", v));
    double longest = bars.values().stream().mapToDouble(v -> v).max().orElse(1);
    StringBuilder html = new StringBuilder("<div class=\"verdict\"><p class=\"big\"><b>");
    html.append(Numbers.of(bpb, 3)).append("</b> validation bits per byte</p><div class=\"bars\">");
    bars.forEach(
        (name, value) ->
            html.append("<span>")
                .append(name)
                .append("</span><span class=\"track\"><span class=\"bar")
                .append(name.equals("This model") ? " ours" : "")
                .append("\" style=\"width:")
                .append(Numbers.of(longest > 0 ? 100 * value / longest : 0, 1))
                .append("%\"></span></span><span class=\"num\">")
                .append(Numbers.of(value, 3))
                .append("</span>"));
    return html.append("</div><p class=\"how\">")
        .append(verdict(run, bpb))
        .append("</p></div>")
        .toString();
  }

  private static String verdict(RunFolder run, double bpb) {
    String meaning =
        "Bits the model needs for one byte of held-out text: lower is better, whatever the"
            + " vocabulary.";
    OptionalDouble baseline = run.number("baseline_order2_bpb");
    if (baseline.isEmpty()) {
      return meaning;
    }
    double saved = 100 * (1 - bpb / baseline.getAsDouble());
    return meaning
        + " The baselines count bytes on the same text: by frequency alone (order 0) and after the"
        + " two bytes before (order 2). The model needs "
        + (saved > 0
            ? "<b>" + Numbers.of(saved, 1) + "% fewer</b> bits than order 2."
            : "<b>"
                + Numbers.of(-saved, 1)
                + "% more</b> bits than order 2: it has not beaten it.");
  }

  private static String tiles(RunFolder run) {
    List<String> tiles = new ArrayList<>();
    Metrics metrics = run.metrics();
    run.number("params_total")
        .ifPresent(n -> tiles.add(tile("Parameters", Numbers.count(n), Numbers.of(n, 0))));
    run.number("params_active")
        .ifPresent(
            n ->
                tiles.add(
                    tile(
                        "Active per token",
                        Numbers.count(n),
                        run.number("params_total").stream()
                            .filter(total -> total > 0)
                            .mapToObj(total -> Numbers.of(100 * n / total, 0) + "% of all")
                            .findFirst()
                            .orElse("of all parameters"))));
    OptionalDouble speed = run.number("tokens_per_s");
    (speed.isPresent() ? speed : present(metrics.column("tokens_per_s").median()))
        .ifPresent(
            n -> tiles.add(tile("Speed", Numbers.of(n, 0), "tokens per second in training")));
    run.number("seconds")
        .ifPresent(n -> tiles.add(tile("Time", Numbers.duration(n), "for the whole run")));
    steps(run).ifPresent(tiles::add);
    present(ChartData.smoothed(metrics.column("loss")).last())
        .ifPresent(
            n -> tiles.add(tile("Training loss", Numbers.of(n, 3), "nats per token, smoothed")));
    return String.join("", tiles);
  }

  private static Optional<String> steps(RunFolder run) {
    return present(run.metrics().lastStep()).stream()
        .mapToObj(
            last ->
                tile(
                    "Steps",
                    Numbers.of(last, 0),
                    run.plannedSteps().stream()
                        .mapToObj(n -> "of " + Numbers.of(n, 0) + " planned")
                        .findFirst()
                        .orElse("logged")))
        .findFirst();
  }

  private static String tile(String name, String value, String detail) {
    return "<div><dt>"
        + name
        + "</dt><dd><b>"
        + value
        + "</b><span>"
        + detail
        + "</span></dd></div>";
  }
}

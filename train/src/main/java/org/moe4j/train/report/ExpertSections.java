package org.moe4j.train.report;

import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

/** What the experts do: their load over the run, and who goes to them on validation text. */
final class ExpertSections {
  private static final int ROW = 12;
  private static final int FEWEST_PIXELS = 48;
  private static final int MOST_PIXELS = 192;
  private static final int THINNEST_ROW = 3;
  private static final int AXIS = 20;

  private static final String LEGEND =
      """
      <div class="legend" aria-hidden="true"><span>¼×</span><span class="ramp"></span>\
      <span>4×</span><span>%s</span></div>
      """;

  private static final String CHOOSE_LAYER =
      """
      <label>Layer <select id="layer"></select></label>
      """;

  private static final String CHOOSE_VIEW =
      """
      <label>Relative to <select id="reference">
      <option value="uniform">an even spread</option>
      <option value="load">the expert’s overall load</option></select></label>
      <label>Rows <select id="order">
      <option value="similar">similar ones together</option>
      <option value="name">by name</option>
      <option value="size">most text first</option></select></label>
      """;

  private static final String LAYERS_HEAD =
      """
      <table class="plain numbers"><thead><tr><th scope="col">Layer</th>\
      <th scope="col">Specialisation, bits</th><th scope="col">Max/mean load</th>\
      <th scope="col">Load entropy, of even</th><th scope="col">Unused experts</th>\
      <th scope="col">Dropped</th></tr></thead><tbody>
      """;

  private ExpertSections() {}

  /** The load over time: imbalance as lines, and a heat map of each sparse layer. */
  static String load(RunFolder run) {
    LoadHistory history = run.metrics().load();
    List<String> names = ChartData.layerNames(run);
    if (names.isEmpty()) {
      return "";
    }
    List<String> atEnd =
        history.imbalance().stream()
            .map(layer -> Numbers.brief(ChartData.smoothed(layer).last()))
            .toList();
    String description =
        IntStream.range(0, names.size())
            .mapToObj(l -> names.get(l) + " " + atEnd.get(l))
            .collect(Collectors.joining(", ", "at the end ", ""));
    String lines =
        Html.chart("imbalance", "Imbalance: largest load over mean load", description, "");
    String maps =
        history.stretches().isEmpty()
            ? ""
            : LEGEND.formatted("share of the layer’s tokens, relative to an even spread")
                + (names.size() <= 4 ? "<div class=\"grid wide\">" : "<div class=\"grid\">")
                + IntStream.range(0, names.size())
                    .mapToObj(l -> map(l, names.get(l), atEnd.get(l), history.shape()[l]))
                    .collect(Collectors.joining())
                + "</div>";
    return Html.section(
        "load",
        "Expert load over time",
        "Each row is an expert, time runs to the right: where no row stands out, all experts work"
            + " alike, a lasting orange row is an overloaded expert, a blue one is starved. The"
            + " line chart sums it up: 1 is perfect balance.",
        lines + maps);
  }

  private static String map(int index, String name, String atEnd, int experts) {
    int height =
        Math.clamp(
            (long) ROW * experts, FEWEST_PIXELS, Math.max(MOST_PIXELS, THINNEST_ROW * experts));
    return """
    <figure><figcaption>%s <span>max/mean %s at the end</span></figcaption>\
    <canvas class="load" data-layer="%d" style="height:%dpx" role="img" \
    aria-label="Load of the experts of %s over the steps, max/mean %s at the end"></canvas>\
    </figure>
    """
        .formatted(name, atEnd, index, height + AXIS, name, atEnd);
  }

  /** Domains by experts, what each expert takes, and the layers side by side. */
  static String domains(RoutingTable table) {
    if (table.layers().isEmpty()) {
      return "";
    }
    int shown = table.largest(ChartData.MOST_DOMAINS).domains().size();
    StringBuilder body = new StringBuilder("<div class=\"controls\">\n").append(CHOOSE_LAYER);
    if (shown > 0) {
      body.append(CHOOSE_VIEW)
          .append("</div>\n")
          .append(LEGEND.formatted("share of the domain’s choices, relative to the reference"))
          .append("<div style=\"min-height:%dpx\">".formatted(40 + 20 * shown))
          .append(Html.scrolling("Domains by experts", "<table id=\"domains-map\"></table>"));
    }
    body.append("</div>\n<h3>What each expert takes</h3>\n<p class=\"how\">The domains that send")
        .append(" it a larger share than all do, and the tokens that set it apart from the other")
        .append(" experts.</p>\n")
        .append(Html.scrolling("Experts", "<table id=\"experts-table\" class=\"plain\"></table>"))
        .append("<h3>Layer by layer</h3>\n<p class=\"how\">Specialisation is the mutual")
        .append(" information of domain and expert: 0 bits if all domains are spread alike. Load")
        .append(" is counted before capacity drops anything.</p>\n")
        .append(Html.scrolling("Layers", LAYERS_HEAD + rows(table) + "</tbody></table>"));
    return Html.section(
        "domains",
        "Which domains go to which expert",
        "Validation text ("
            + Numbers.of((double) table.tokens(), 0)
            + " tokens) by its domain: orange cells are experts that a domain prefers, blue ones"
            + " those it avoids; a column of one colour is an expert that serves all domains"
            + " alike.",
        body.toString());
  }

  private static String rows(RoutingTable table) {
    return table.layers().stream().map(ExpertSections::row).collect(Collectors.joining());
  }

  private static String row(LayerRouting layer) {
    double even = Math.log(layer.experts()) / Math.log(2);
    double evenness = even > 0 ? layer.loadEntropy() / even : 1;
    return """
    <tr><th scope="row">Layer %d</th><td>%s</td><td>%s</td><td>%s%%</td><td>%d</td>\
    <td>%s%%</td></tr>
    """
        .formatted(
            layer.layer(),
            Numbers.of(layer.specialisation(), 3),
            Numbers.brief(layer.maxOverMean()),
            Numbers.of(100 * evenness, 1),
            layer.unused(),
            Numbers.of(100 * layer.dropped(), 1));
  }
}

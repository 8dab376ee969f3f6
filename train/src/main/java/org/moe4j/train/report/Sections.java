package org.moe4j.train.report;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import tools.jackson.databind.JsonNode;

/** The sections of the page in the order of reading; what a run lacks is not there. */
final class Sections {
  private final RunFolder run;
  private final Metrics metrics;

  private Sections(RunFolder run) {
    this.run = run;
    this.metrics = run.metrics();
  }

  static String html(RunFolder run) {
    Sections sections = new Sections(run);
    return sections.header()
        + "<main>\n"
        + section("headline", "Result", "", Headline.html(run))
        + sections.learning()
        + sections.load()
        + sections.domains()
        + sections.optimisation()
        + sections.samples()
        + sections.everything()
        + "</main>";
  }

  private static String section(String id, String title, String how, String body) {
    return body.isEmpty()
        ? ""
        : "<section id=\"%s\" aria-labelledby=\"%s-title\">\n<h2 id=\"%s-title\">%s</h2>\n"
                .formatted(id, id, id, title)
            + (how.isEmpty() ? "" : "<p class=\"how\">" + how + "</p>\n")
            + body
            + "\n</section>\n";
  }

  private String header() {
    return "<header><h1>"
        + Html.escape(run.name())
        + "</h1>\n<p>"
        + shape()
        + "</p>\n"
        + notes().stream()
            .map(note -> "<p class=\"note\">" + Html.escape(note) + "</p>\n")
            .collect(Collectors.joining())
        + "<noscript><p class=\"note\">The charts need JavaScript, which is switched off; the"
        + " numbers below do not.</p></noscript></header>\n";
  }

  private String shape() {
    List<String> parts = new ArrayList<>();
    parts.add("Mixture-of-Experts training run");
    int[] shape = metrics.load().shape();
    if (shape.length > 0) {
      parts.add(shape.length + (shape.length == 1 ? " MoE layer of " : " MoE layers of ") + shape[0]
          + " experts");
    }
    return String.join(" · ", parts);
  }

  private List<String> notes() {
    List<String> notes = new ArrayList<>(run.notes());
    if (!run.finished()) {
      notes.add(
          "This run has no summary: it is still going on, or was stopped. Shown is what it has"
              + " written so far.");
    }
    long broken = metrics.column("loss").missing();
    if (broken > 0) {
      notes.add("The loss was not a finite number at " + broken + " logged steps.");
    }
    if (metrics.load().refused() > 0) {
      notes.add(
          metrics.load().refused()
              + " lines of metrics.jsonl have an expert_load of another shape; they are left out.");
    }
    return notes;
  }

  private String learning() {
    Series loss = metrics.column("loss");
    Series bpb = metrics.column("val_bpb");
    String charts =
        (loss.isEmpty() ? "" : chart("loss", "Loss, nats per token", loss.description(), "tall"))
            + (bpb.isEmpty()
                ? ""
                : chart("bpb", "Validation, bits per byte", bpb.description(), "tall"));
    return section(
        "learning",
        "Learning",
        "Falling curves mean that the model still learns. Validation well above training means that"
            + " it learns the training text by heart; dashed lines are the byte-counting baselines.",
        charts.isEmpty() ? "" : "<div class=\"grid wide\">" + charts + "</div>");
  }

  /** A canvas of a fixed height, so that nothing moves when it is drawn. */
  private static String chart(String id, String title, String description, String kind) {
    return "<figure><figcaption>%s</figcaption><div class=\"chart %s\"><canvas id=\"chart-%s\" role=\"img\" aria-label=\"%s\"></canvas></div></figure>"
        .formatted(title, kind, id, Html.escape(title + ": " + description));
  }

  private String load() {
    LoadHistory history = metrics.load();
    List<String> names = ChartData.layerNames(run);
    if (names.isEmpty()) {
      return "";
    }
    String description =
        "largest load over mean load; at the end "
            + IntStream.range(0, names.size())
                .mapToObj(
                    l -> names.get(l) + " " + Numbers.brief(ChartData.smoothed(history.imbalance().get(l)).last()))
                .collect(Collectors.joining(", "));
    StringBuilder body = new StringBuilder();
    body.append(chart("imbalance", "Imbalance: largest load over mean load", description, ""));
    body.append(LEGEND.formatted("share of the layer’s tokens, relative to an even spread"));
    body.append(names.size() <= 4 ? "<div class=\"grid wide\">" : "<div class=\"grid\">");
    for (int l = 0; l < names.size() && !history.stretches().isEmpty(); l++) {
      int height = Math.clamp(12L * history.shape()[l], 48, Math.max(192, 3 * history.shape()[l]));
      double last = ChartData.smoothed(history.imbalance().get(l)).last();
      body.append(
          "<figure><figcaption>%s <span>max/mean %s at the end</span></figcaption><canvas class=\"load\" data-layer=\"%d\" style=\"height:%dpx\" role=\"img\" aria-label=\"Load of the experts of %s over the steps\"></canvas></figure>"
              .formatted(names.get(l), Numbers.brief(last), l, height + 20, names.get(l)));
    }
    return section(
        "load",
        "Expert load over time",
        "Each row is an expert, time runs to the right: where no row stands out, all experts work"
            + " alike, a lasting orange row is an overloaded expert, a blue one is starved. The line"
            + " chart sums it up: 1 is perfect balance.",
        body.append("</div>").toString());
  }

  private static final String LAYER_CONTROL =
      "<label>Layer <select id=\"layer\"></select></label>\n";

  private static final String DOMAIN_CONTROLS =
      """
      <label>Relative to <select id="reference"><option value="uniform">an even spread</option>
      <option value="load">the expert’s overall load</option></select></label>
      <label>Rows <select id="order"><option value="similar">similar ones together</option>
      <option value="name">by name</option><option value="size">most text first</option></select></label>
      """;

  private static final String LEGEND =
      "<div class=\"legend\" aria-hidden=\"true\"><span>¼×</span><span class=\"ramp\"></span><span>4×</span><span class=\"of\">%s</span></div>";

  private String domains() {
    if (run.routing().isEmpty() || run.routing().get().layers().isEmpty()) {
      return "";
    }
    RoutingTable table = run.routing().get();
    RoutingTable shown = table.largest(ChartData.MOST_DOMAINS);
    StringBuilder body = new StringBuilder("<div class=\"controls\">" + LAYER_CONTROL);
    if (!shown.domains().isEmpty()) {
      body.append(DOMAIN_CONTROLS).append("</div>");
      body.append(LEGEND.formatted("share of the domain’s choices, relative to the reference"));
      body.append("<div class=\"scroll\" style=\"min-height:")
          .append(40 + 20 * shown.domains().size())
          .append(
              "px\" tabindex=\"0\" role=\"region\" aria-label=\"Domains by experts\"><table"
                  + " id=\"domains-map\"></table></div>");
    } else {
      body.append("</div>");
    }
    body.append("<h3>What each expert takes</h3><p class=\"how\">The domains with the largest share")
        .append(" relative to the rest, and the tokens that set the expert apart from the others.")
        .append("</p><div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Experts\">")
        .append("<table id=\"experts-table\" class=\"plain\"></table></div>");
    body.append(layers(table));
    return section(
        "domains",
        "Which domains go to which expert",
        "Validation text (%s tokens) by its domain: orange cells are experts that a domain prefers, blue ones those it avoids; a column of one colour is an expert that serves all domains alike."
            .formatted(Numbers.of((double) table.tokens(), 0)),
        body.toString());
  }

  private static String layers(RoutingTable table) {
    StringBuilder rows = new StringBuilder();
    for (LayerRouting layer : table.layers()) {
      double even = Math.log(layer.experts()) / Math.log(2);
      rows.append("<tr><th scope=\"row\">Layer %d</th>".formatted(layer.layer()))
          .append("<td>%s</td>".formatted(Numbers.of(layer.specialisation(), 3)))
          .append("<td>%s</td>".formatted(Numbers.of(layer.maxOverMean(), 2)))
          .append(
              "<td>%s%%</td>".formatted(Numbers.of(even > 0 ? 100 * layer.loadEntropy() / even : 100, 1)))
          .append("<td>%d</td>".formatted(layer.unused()))
          .append("<td>%s%%</td></tr>".formatted(Numbers.of(100 * layer.dropped(), 1)));
    }
    return """
        <h3>Layer by layer</h3><p class="how">Specialisation is the mutual information of domain and expert: 0 bits if all domains are spread alike. Load is counted before capacity drops anything.</p>
        <div class="scroll" tabindex="0" role="region" aria-label="Layers"><table class="plain numbers"><thead><tr><th scope="col">Layer</th><th scope="col">Specialisation, bits</th><th scope="col">Max/mean load</th><th scope="col">Load entropy, of even</th><th scope="col">Unused experts</th><th scope="col">Dropped</th></tr></thead><tbody>"""
        + rows
        + "</tbody></table></div>";
  }

  private String optimisation() {
    StringBuilder charts = new StringBuilder();
    append(charts, "lr", "Learning rate", metrics.column("lr"));
    append(charts, "grad_norm", "Gradient norm", metrics.column("grad_norm"));
    append(charts, "tokens_per_s", "Speed, tokens per second", metrics.column("tokens_per_s"));
    if (!metrics.balance().isEmpty()) {
      String description =
          metrics.balance().entrySet().stream()
              .map(term -> term.getKey() + " " + term.getValue().description())
              .collect(Collectors.joining("; "));
      charts.append(chart("balance", "Balance losses", description, "low"));
    }
    return section(
        "optimisation",
        "Optimisation",
        "A calm gradient norm and a steady speed are good signs; a peak in the norm that the loss"
            + " repeats asks for a lower learning rate or a longer warm-up.",
        charts.isEmpty() ? "" : "<div class=\"grid wide\">" + charts + "</div>");
  }

  private static void append(StringBuilder charts, String id, String title, Series series) {
    if (!series.isEmpty()) {
      charts.append(chart(id, title, series.description(), "low"));
    }
  }

  private String samples() {
    StringBuilder list = new StringBuilder();
    for (JsonNode sample : run.summary().path("samples")) {
      String prompt = sample.path("prompt").asString("");
      String text = sample.path("text").asString("");
      list.append("<blockquote><b>")
          .append(Html.escape(prompt))
          .append("</b>")
          .append(Html.escape(text))
          .append("</blockquote>\n");
    }
    return section(
        "samples", "Samples", "Bold is the prompt, the rest is the model’s.", list.toString());
  }

  private String everything() {
    StringBuilder body = new StringBuilder();
    StringBuilder rows = new StringBuilder();
    for (Map.Entry<String, JsonNode> entry : run.summary().properties()) {
      if (entry.getValue().isValueNode()) {
        rows.append("<tr><th scope=\"row\">")
            .append(Html.escape(entry.getKey()))
            .append("</th><td>")
            .append(Html.escape(entry.getValue().asString("")))
            .append("</td></tr>");
      }
    }
    if (!rows.isEmpty()) {
      body.append("<details><summary>All numbers of the summary</summary><div class=\"scroll\">")
          .append("<table class=\"plain numbers\"><tbody>")
          .append(rows)
          .append("</tbody></table></div></details>\n");
    }
    run.config()
        .ifPresent(
            text ->
                body.append("<details><summary>Configuration (config.toml)</summary><pre>")
                    .append(Html.escape(text))
                    .append("</pre></details>\n"));
    return section("everything", "Everything else", "", body.toString());
  }
}

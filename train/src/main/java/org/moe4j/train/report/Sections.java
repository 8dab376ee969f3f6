package org.moe4j.train.report;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
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
        + Html.section("headline", "Result", "", Headline.html(run))
        + sections.learning()
        + ExpertSections.load(run)
        + run.routing().map(ExpertSections::domains).orElse("")
        + sections.optimisation()
        + sections.samples()
        + sections.everything()
        + "</main>";
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
      parts.add(
          shape.length
              + (shape.length == 1 ? " MoE layer of " : " MoE layers of ")
              + shape[0]
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
        (loss.isEmpty()
                ? ""
                : Html.chart("loss", "Loss, nats per token", loss.description(), "tall"))
            + (bpb.isEmpty()
                ? ""
                : Html.chart("bpb", "Validation, bits per byte", bpb.description(), "tall"));
    return Html.section(
        "learning",
        "Learning",
        "Falling curves mean that the model still learns. Validation well above training means that"
            + " it learns the training text by heart; dashed lines are the byte-counting"
            + " baselines.",
        charts.isEmpty() ? "" : "<div class=\"grid wide\">" + charts + "</div>");
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
      charts.append(Html.chart("balance", "Balance losses", description, "low"));
    }
    return Html.section(
        "optimisation",
        "Optimisation",
        "A calm gradient norm and a steady speed are good signs; a peak in the norm that the loss"
            + " repeats asks for a lower learning rate or a longer warm-up.",
        charts.isEmpty() ? "" : "<div class=\"grid wide\">" + charts + "</div>");
  }

  private static void append(StringBuilder charts, String id, String title, Series series) {
    if (!series.isEmpty()) {
      charts.append(Html.chart(id, title, series.description(), "low"));
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
    return Html.section(
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
    return Html.section("everything", "Everything else", "", body.toString());
  }
}

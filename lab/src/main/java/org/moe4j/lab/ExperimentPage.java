package org.moe4j.lab;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.stream.Collectors;
import org.moe4j.ListedSystem;
import org.moe4j.tensor.AtomicFile;
import org.moe4j.train.report.Html;
import org.moe4j.train.report.Numbers;
import org.moe4j.train.report.Page;
import tools.jackson.databind.json.JsonMapper;

/** A report as one page that needs no network: the claim, the verdict, and what it rests on. */
public final class ExperimentPage {
  private static final JsonMapper JSON = new JsonMapper();

  private final Report report;
  private final Experiment experiment;
  private final Results results;
  private final List<Figure> figures;

  private ExperimentPage(Report report) {
    this.report = report;
    this.experiment = report.experiment();
    this.results = report.results();
    this.figures = experiment.figures().of(results);
  }

  /** Writes {@code file}, all or nothing. */
  public static void write(Path file, Report report) {
    AtomicFile.write(file, html(report).getBytes(StandardCharsets.UTF_8));
  }

  /** The whole document. */
  static String html(Report report) {
    ExperimentPage page = new ExperimentPage(report);
    ListedSystem system = report.experiment().system();
    String title = system.id() + " " + system.name();
    return Page.document(title, page.body(), page.data(), script());
  }

  private static String script() {
    try (InputStream in =
        Objects.requireNonNull(ExperimentPage.class.getResourceAsStream("experiment.js"))) {
      return new String(in.readAllBytes(), StandardCharsets.UTF_8);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private String body() {
    return header()
        + "<main>\n"
        + Html.section("verdict", "Verdict", "", verdict())
        + Html.section("figures", "The effect", FIGURES_HOW, figures())
        + Html.section("curves", "Training", CURVES_HOW, curves())
        + Html.section("seeds", "Seed by seed", SEEDS_HOW, seeds())
        + Html.section("settings", "What was compared", settingsHow(), settings())
        + routing()
        + Html.section("again", "Run it again", "", again())
        + "</main>";
  }

  private static final Map<String, String> TITLES =
      Map.of(
          "loss", "Training loss",
          "imbalance", "Imbalance: largest load over mean load",
          "dropped", "Share of choices that were dropped");

  private static final String STRIPS_HOW =
      "To the right is better. Small dots are seeds; the large one is their mean, the bar around it"
          + " their standard deviation. In the shaded part the effect counts, and the hollow mark is"
          + " the one expected.";

  private static final String FIGURES_HOW =
      "Points are means over seeds; bands and whiskers reach from the lowest to the highest seed.";

  private static final String CURVES_HOW =
      "Lines are means over seeds, the bands around them reach from the lowest to the highest seed."
          + " Each point is the mean of the steps since the one before.";

  private static final String SEEDS_HOW =
      "The quantities that the verdict is computed from. A seed gives all arms the same start and"
          + " the same text in the same order, so arms are compared within a column.";

  private String header() {
    ListedSystem.Paper paper = experiment.system().paper();
    return "<header><h1>"
        + Html.escape(experiment.id() + " · " + experiment.system().name())
        + "</h1>\n<p>"
        + Html.escape(paper.toString())
        + "</p>\n<noscript><p class=\"note\">The charts need JavaScript, which is switched off; the"
        + " tables do not.</p></noscript></header>\n";
  }

  private String verdict() {
    StringBuilder html = new StringBuilder(1000);
    html.append("<blockquote>")
        .append(Html.escape(experiment.claim()))
        .append("</blockquote>\n<p class=\"big\"><b class=\"")
        .append(style(report.judgement().verdict()))
        .append("\">")
        .append(Html.escape(capital(report.judgement().verdict().label())))
        .append("</b></p>\n<table class=\"plain stack\"><thead><tr><th>Asked</th>")
        .append("<th>Effect, seed by seed</th><th>Found</th><th>Verdict</th></tr></thead><tbody>");
    report.judgement().findings().forEach(f -> html.append(finding(f)));
    return html.append("</tbody></table>\n<p class=\"how strips\">")
        .append(STRIPS_HOW)
        .append("</p><h3>How it differs from the paper, and what may hide the effect</h3>\n<p>")
        .append(Html.escape(experiment.scale()))
        .append("</p>")
        .toString();
  }

  private static String finding(Finding f) {
    return "<tr><th scope=\"row\" class=\"wrap\">"
        + Html.escape(capital(Wording.asked(f.criterion())))
        + "<br><span class=\"by\">by "
        + Html.escape(f.criterion().metric().label())
        + "</span></th><td class=\"effect\">"
        + EffectStrip.of(f)
        + "</td><td>"
        + Html.escape(Wording.found(f))
        + "<br><span class=\"ratio\">"
        + Html.escape(Wording.rule(f))
        + "</span></td><td><b class=\""
        + style(f.verdict())
        + "\">"
        + Html.escape(f.verdict().label())
        + "</b></td></tr>\n";
  }

  /** The class that colours a verdict. */
  static String style(Verdict verdict) {
    return "verdict-" + verdict.name().toLowerCase(Locale.ROOT).replace('_', '-');
  }

  private static String capital(String text) {
    return Character.toUpperCase(text.charAt(0)) + text.substring(1);
  }

  private String curves() {
    StringBuilder html = new StringBuilder("<div class=\"grid wide\">");
    List<String> names = curveNames();
    for (int i = 0; i < names.size(); i++) {
      String title = TITLES.getOrDefault(names.get(i), capital(names.get(i)));
      html.append(Html.chart("curve-" + i, Html.escape(title), "by step", ""));
      if (names.get(i).equals("loss") && results.arms().size() > 1) {
        String difference = "Training loss less that of “" + baseline() + "”, same seed";
        html.append(Html.chart("difference", Html.escape(difference), "by step", ""));
      }
    }
    return names.isEmpty() ? "" : html.append("</div>").toString();
  }

  /** What the system is compared with first. */
  private String baseline() {
    return experiment.criteria().getFirst().baseline();
  }

  /** The curves to draw: the loss first, and none that is 0 throughout. */
  private List<String> curveNames() {
    return results.arms().stream()
        .flatMap(a -> a.runs().stream())
        .flatMap(run -> run.curves().entrySet().stream())
        .filter(e -> e.getValue().values().stream().anyMatch(v -> v != 0))
        .map(Map.Entry::getKey)
        .distinct()
        .sorted(Comparator.comparing((String n) -> !n.equals("loss")).thenComparing(n -> n))
        .toList();
  }

  private String figures() {
    StringBuilder html = new StringBuilder("<div class=\"grid wide\">");
    for (int i = 0; i < figures.size(); i++) {
      Figure f = figures.get(i);
      String axes = f.y().label() + " over " + f.x().label();
      html.append(Html.chart("figure-" + i, Html.escape(f.title()), axes, ""));
    }
    return figures.isEmpty() ? "" : html.append("</div>").toString();
  }

  private String seeds() {
    StringBuilder html = new StringBuilder(2000);
    List<Metric> metrics =
        experiment.criteria().stream().map(Criterion::metric).distinct().toList();
    for (Metric metric : metrics) {
      html.append("<h3>")
          .append(Html.escape(capital(metric.label())))
          .append("</h3>\n<div class=\"scroll\"><table class=\"plain numbers\">")
          .append("<thead><tr><th>Arm</th>");
      results.seeds().forEach(seed -> html.append("<th>seed ").append(seed).append("</th>"));
      html.append("<th>mean</th></tr></thead><tbody>");
      for (ArmResult arm : results.arms()) {
        if (!arm.runs().getFirst().values().containsKey(metric.key())) {
          continue;
        }
        List<Double> values = results.values(arm.name(), metric.key());
        html.append("<tr><th scope=\"row\">").append(Html.escape(arm.name())).append("</th>");
        values.forEach(v -> html.append(cell(Wording.value(metric, v))));
        html.append(cell(Wording.value(metric, Statistics.mean(values)))).append("</tr>\n");
      }
      html.append("</tbody></table></div>\n");
    }
    return html.toString();
  }

  private static String cell(String text) {
    return "<td>" + Html.escape(text) + "</td>";
  }

  private String settingsHow() {
    return "Held equal between the arms of a comparison, to within "
        + Math.round(100 * Held.TOLERANCE)
        + " %: "
        + Html.escape(
            experiment.held().stream().sorted().map(Held::label).collect(Collectors.joining(", ")))
        + ". FLOPs are those of a token’s forward pass; active parameters are what a token meets.";
  }

  private String settings() {
    StringBuilder html = new StringBuilder(2000);
    html.append("<div class=\"scroll\"><table class=\"plain numbers\"><thead><tr><th>Arm</th>");
    for (String head :
        List.of("Parameters", "active", "FLOPs per token", "Steps", "Tokens", "ms per step")) {
      html.append("<th>").append(head).append("</th>");
    }
    html.append("</tr></thead><tbody>");
    for (ArmResult arm : results.arms()) {
      double seconds = arm.runs().stream().mapToDouble(Measurement::seconds).average().orElse(0);
      html.append("<tr><th scope=\"row\">").append(Html.escape(arm.name())).append("</th>");
      for (double count :
          new double[] {
            arm.cost().parameters(),
            arm.cost().active(),
            arm.cost().flops(),
            arm.steps(),
            (double) arm.steps() * arm.cost().tokensPerStep(),
            1000 * seconds / arm.steps()
          }) {
        html.append(cell(Numbers.of(count, 0)));
      }
      html.append("</tr>\n");
    }
    html.append("</tbody></table></div>\n<h3>Arms</h3><table class=\"plain stack\"><tbody>");
    for (Arm arm : experiment.arms()) {
      html.append("<tr><th scope=\"row\">")
          .append(Html.escape(arm.name()))
          .append("</th><td>")
          .append(Html.escape(capital(arm.what())));
      if (!arm.work().settings().isEmpty()) {
        html.append("<br>");
        arm.work().settings().forEach(s -> html.append(code(s)).append(' '));
      }
      html.append("</td></tr>\n");
    }
    return html.append("</tbody></table>").toString();
  }

  private static String code(String text) {
    return "<span class=\"item\"><code>" + Html.escape(text) + "</code></span>";
  }

  private String routing() {
    return routingTree().isEmpty()
        ? ""
        : Html.section(
            "routing",
            "Who goes where",
            "Lexical domains of the held-out text by expert, after the last step of the first seed:"
                + " orange cells are experts that a domain prefers, blue ones those it avoids.",
            Html.chart(
                    "load",
                    "Load of the experts, largest first, relative to an even one",
                    "by rank, mean over layers",
                    "low")
                + """
            <h3>Domains</h3>
            <div class="controls"><label>Layer <select id="layer"></select></label>
            <label>Relative to <select id="reference">
            <option value="uniform">an even spread</option>
            <option value="load">the expert’s overall load</option></select></label>
            <label>Rows <select id="order"><option value="similar">similar ones together</option>
            <option value="size">most text first</option>
            <option value="name">by name</option></select></label></div>
            <div class="legend" aria-hidden="true"><span>¼×</span><span class="ramp"></span>\
            <span>4×</span><span>share of the domain’s choices, relative to the reference</span></div>
            """
                + Html.scrolling("Domains by experts", "<table id=\"domains-map\"></table>")
                + "<details><summary>Each expert’s domains and tokens</summary>"
                + Html.scrolling("Experts", "<table id=\"experts-table\" class=\"plain\"></table>")
                + "</details>");
  }

  private String again() {
    return "<pre>"
        + Html.escape(report.command())
        + "</pre>\n<p class=\"how\">"
        + Html.escape(
            "Took %s on %s. With these steps the numbers are the same again on this machine, but for"
                .formatted(Numbers.duration(results.seconds()), report.device()))
        + " arms that are given another arm’s time.</p>";
  }

  /** What the script draws. */
  private String data() {
    Map<String, Object> tree = new LinkedHashMap<>();
    List<Map<String, Object>> arms = new ArrayList<>();
    for (ArmResult arm : results.arms()) {
      Map<String, List<Curve>> curves = new LinkedHashMap<>();
      for (Measurement run : arm.runs()) {
        run.curves().forEach((k, v) -> curves.computeIfAbsent(k, n -> new ArrayList<>()).add(v));
      }
      arms.add(Map.of("name", arm.name(), "curves", curves));
    }
    tree.put("arms", arms);
    tree.put("baseline", baseline());
    tree.put("curves", curveNames());
    tree.put("figures", figures);
    Map<String, Object> routing = routingTree();
    if (!routing.isEmpty()) {
      tree.put("routing", routing);
    }
    return JSON.writeValueAsString(tree);
  }

  /** The routing of all arms as if they were layers of one model. */
  private Map<String, Object> routingTree() {
    Map<String, Object> all = new LinkedHashMap<>();
    List<Object> layers = new ArrayList<>();
    for (ArmResult arm : results.arms()) {
      arm.runs()
          .getFirst()
          .routing()
          .ifPresent(
              table -> {
                Map<String, Object> chart = table.chart();
                for (Object layer : (List<?>) chart.getOrDefault("layers", List.of())) {
                  Map<Object, Object> named = new LinkedHashMap<>((Map<?, ?>) layer);
                  named.put("name", arm.name() + ", " + String.valueOf(named.get("name")));
                  named.put("arm", arm.name());
                  layers.add(named);
                }
                chart.forEach(all::putIfAbsent);
              });
    }
    if (layers.isEmpty()) {
      return Map.of();
    }
    all.put("layers", layers);
    return all;
  }
}

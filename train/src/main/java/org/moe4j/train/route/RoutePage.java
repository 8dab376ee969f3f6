package org.moe4j.train.route;

import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Collectors;
import org.moe4j.tensor.AtomicFile;
import org.moe4j.train.report.Html;
import org.moe4j.train.report.Numbers;
import org.moe4j.train.report.Page;

/** The findings as one page that needs no network: all layers at a glance, then one at a time. */
public final class RoutePage {
  private final RoutingFindings findings;

  private RoutePage(RoutingFindings findings) {
    this.findings = findings;
  }

  /** Writes {@code file}, all or nothing. */
  public static void write(Path file, RoutingFindings findings) {
    AtomicFile.write(file, html(findings).getBytes(StandardCharsets.UTF_8));
  }

  /** The whole document. */
  static String html(RoutingFindings findings) {
    String data = "{\"routing\":" + RoutingDocument.json(findings) + "}";
    String title = "Routing of " + findings.model();
    return Page.html(title, new RoutePage(findings).body(), data, "route.js");
  }

  private String body() {
    return header()
        + "<main>\n"
        + Html.section("result", "At a glance", "", RouteTiles.html(findings))
        + overview()
        + lines()
        + "<div id=\"chosen\">\n"
        + SELECTOR
        + domains()
        + experts()
        + text()
        + repetition()
        + confidence()
        + pairs()
        + "</div>\n"
        + Html.section("numbers", "All layers in numbers", "", RouteNumbers.html(findings.layers()))
        + "</main>";
  }

  private static final String SELECTOR =
      """
      <nav class="picker" aria-label="Layer"><b>One layer</b>
      <button type="button" id="before" aria-label="layer before">‹</button>
      <select id="layer" aria-label="Layer"></select>
      <button type="button" id="after" aria-label="next layer">›</button>
      <span id="layer-summary"></span></nav>
      """;

  private String header() {
    List<LayerFindings> layers = findings.layers();
    String shape =
        layers.isEmpty()
            ? ""
            : layers.size()
                + (layers.size() == 1 ? " sparse layer of " : " sparse layers of ")
                + layers.getFirst().load().experts()
                + " experts"
                + (layers.getFirst().k() > 0 ? ", " + layers.getFirst().k() + " for a token" : "")
                + " · ";
    String notes =
        findings.notes().stream()
            .map(note -> "<p class=\"note\">" + Html.escape(note) + "</p>\n")
            .collect(Collectors.joining());
    return "<header><h1>Who goes where: "
        + Html.escape(name(findings.model()))
        + "</h1>\n<p>"
        + shape
        + Numbers.of((double) findings.tokens(), 0)
        + " tokens of "
        + Html.escape(domainNames())
        + "</p>\n"
        + notes
        + "<noscript><p class=\"note\">The charts need JavaScript, which is switched off; the"
        + " numbers below do not.</p></noscript></header>\n";
  }

  /** The model's own name: of runs/first/model and its like, the run's. */
  private static String name(Path model) {
    Path full = model.toAbsolutePath().normalize();
    Path parent = full.getParent();
    Path named = full.endsWith("model") && parent != null ? parent : full;
    Path last = named.getFileName();
    return last == null ? full.toString() : last.toString();
  }

  private String domainNames() {
    List<String> names = findings.domains();
    return names.size() > 6
        ? String.join(", ", names.subList(0, 5)) + " and " + (names.size() - 5) + " more domains"
        : String.join(", ", names);
  }

  private String overview() {
    if (findings.layers().isEmpty()) {
      return "";
    }
    int layers = findings.layers().size();
    int height = Math.clamp(480L / layers, 9, 26) * layers + 22;
    return Html.section(
        "load",
        "Load of all experts",
        "Each row is a layer, each cell an expert: orange ones are chosen more often than an even"
            + " spread would have it, blue ones less, and a pale row is a balanced layer. Click a"
            + " row to look at its layer below.",
        """
        <div class="controls"><label>Experts <select id="columns">\
        <option value="number">by number</option>\
        <option value="load">the most loaded first</option></select></label></div>
        """
            + legend("¼×", "4×", "of an even share of the choices")
            + "<canvas id=\"overview\" class=\"map\" style=\"height:"
            + height
            + "px\" role=\"img\" aria-label=\"Load of each expert in each layer\"></canvas>");
  }

  private static String legend(String low, String high, String what) {
    return "<div class=\"legend\" aria-hidden=\"true\"><span>"
        + low
        + "</span><span class=\"ramp\"></span><span>"
        + high
        + "</span><span>"
        + what
        + "</span></div>\n";
  }

  private String lines() {
    if (findings.layers().size() < 2) {
      return "";
    }
    boolean chosen = findings.layers().stream().anyMatch(l -> l.k() > 0);
    boolean two = findings.layers().stream().anyMatch(l -> l.k() > 1);
    String charts =
        chart("balance", "Imbalance: largest load over mean load")
            + (findings.domains().size() > 1
                ? chart("special", "Specialisation by domain, bits")
                : "")
            + (chosen ? chart("sure", "Confidence, probability") : "")
            + (chosen ? chart("repeat", "Same first choice as the token before") : "")
            + (two ? chart("repeat-either", "First or second choice in common") : "")
            + chart("alike", "Similarity, mean cosine of two experts");
    return Html.section(
        "depth",
        "From the first layer to the last",
        "Grey dashed lines are what chance alone gives: domains shuffled among stretches of text,"
            + " and two tokens taken anywhere in the text instead of neighbours.",
        "<div class=\"grid\">" + charts + "</div>");
  }

  private static String chart(String id, String title) {
    return Html.chart(id, title, "by layer; the numbers are in the last table", "low");
  }

  private String domains() {
    if (findings.layers().isEmpty()) {
      return "";
    }
    int rows = 40 + 20 * findings.domains().size();
    return Html.section(
        "domains",
        "Which domains go to which expert",
        "Orange cells are experts that a domain prefers, blue ones those it avoids; a column of"
            + " one colour is an expert that serves all domains alike.",
        """
        <div class="controls"><label>Relative to <select id="reference">
        <option value="load">the expert’s overall load</option>
        <option value="uniform">an even spread</option></select></label>
        <label>Rows <select id="order">
        <option value="name">as given</option>
        <option value="similar">similar ones together</option>
        <option value="size">most text first</option></select></label></div>
        """
            + legend("¼×", "4×", "share of the domain’s choices, relative to the reference")
            + "<div style=\"min-height:"
            + rows
            + "px\">"
            + Html.scrolling("Domains by experts", "<table id=\"domains-map\"></table>")
            + "</div>");
  }

  private static String experts() {
    return Html.section(
        "experts",
        "What each expert takes",
        "The domains that send it a larger share than all do, and the tokens of highest pointwise"
            + " mutual information with it: those it gets more often than it gets text, among all"
            + " that it got often enough. ␣ is a space, ⏎ a line’s end.",
        "<div class=\"capped\">"
            + Html.scrolling("Experts", "<table id=\"experts-table\" class=\"plain\"></table>")
            + "</div>");
  }

  private String text() {
    return findings.samples().isEmpty()
        ? ""
        : Html.section(
            "text",
            "Text by expert",
            "Each token has the colour of its expert. Point at one to see its expert’s other"
                + " tokens; click it, or an expert below, to keep them.",
            """
            <div class="controls"><label>Domain <select id="sample"></select></label>\
            <label>Colour by <select id="rank"><option value="first">first choice</option>\
            <option value="second">second choice</option></select></label></div>
            <div id="chips" class="chips"></div><div id="coloured" class="coloured"></div>
            """);
  }

  private static String repetition() {
    return Html.section(
        "repetition",
        "Does the next token stay?",
        "How often neighbouring tokens share their first choice, and one of their first two; beside"
            + " it the same for two tokens taken anywhere in that row’s text, which is what the"
            + " loads imply. A ratio above 1 means that choices follow the course of the text.",
        Html.scrolling(
            "Repetition", "<table id=\"repetition-table\" class=\"plain numbers\"></table>"));
  }

  private static String confidence() {
    return Html.section(
        "confidence",
        "How sure the router is",
        "Tokens by the probability of their most likely expert, and by the part that the first"
            + " choice has in the mixture of the chosen experts. Mass at the right is a router that"
            + " is sure.",
        "<div class=\"grid wide\">"
            + Html.chart("top", "Highest probability", "a histogram of tokens", "low")
            + Html.chart("share", "Weight of the first choice", "a histogram of tokens", "low")
            + "</div>");
  }

  private static String pairs() {
    return Html.section(
        "pairs",
        "Pairs of experts",
        "Left: how often two experts are chosen together, relative to what their loads imply."
            + " Beside it: how alike they are, by the cosines of their rows of the router and of"
            + " their weights.",
        """
        <div class="grid"><figure><figcaption>Chosen together <span>¼× to 4× of chance</span>\
        </figcaption><canvas id="together" class="square" role="img" \
        aria-label="Pairs chosen together relative to chance"></canvas></figure>\
        <figure><figcaption>Router rows <span id="router-range"></span></figcaption>\
        <canvas id="router-cosines" class="square" role="img" \
        aria-label="Cosines of the rows of the router"></canvas></figure>\
        <figure><figcaption>Experts’ weights <span id="expert-range"></span></figcaption>\
        <canvas id="expert-cosines" class="square" role="img" \
        aria-label="Cosines of the weights of the experts"></canvas></figure></div>
        <p id="strongest" class="how"></p>
        """);
  }
}

package org.moe4j.train.route;

import java.util.List;
import java.util.stream.Collectors;
import org.moe4j.train.report.Html;
import org.moe4j.train.report.Numbers;

/** The table of all layers, which needs no script. */
final class RouteNumbers {
  private static final List<String> HEAD =
      List.of(
          "Layer",
          "Max/mean load",
          "Load entropy, of even",
          "Unused",
          "Dropped",
          "Specialisation, bits",
          "by chance",
          "Top probability",
          "Entropy, bits",
          "Same first",
          "by chance",
          "First or second",
          "by chance",
          "Experts in common",
          "by chance",
          "Router cosine",
          "Expert cosine");

  private RouteNumbers() {}

  static String html(List<LayerFindings> layers) {
    String head =
        HEAD.stream().map(h -> "<th scope=\"col\">" + h + "</th>").collect(Collectors.joining());
    String rows = layers.stream().map(RouteNumbers::row).collect(Collectors.joining());
    String notes =
        layers.stream()
            .filter(l -> !l.note().isEmpty())
            .map(l -> "<p class=\"how\">Layer " + l.layer() + ": " + Html.escape(l.note()) + "</p>")
            .collect(Collectors.joining());
    return notes
        + Html.scrolling(
            "Layers",
            "<table class=\"plain numbers tight\"><thead><tr>"
                + head
                + "</tr></thead><tbody>"
                + rows
                + "</tbody></table>");
  }

  private static String row(LayerFindings f) {
    double even = Math.log(f.load().experts()) / Math.log(2);
    List<String> cells =
        List.of(
            Numbers.brief(f.load().maxOverMean()),
            percent(even > 0 ? f.load().loadEntropy() / even : 1),
            String.valueOf(f.load().unused()),
            percent(f.load().dropped()),
            f.specialisation().map(s -> Numbers.of(s.bits(), 3)).orElse("–"),
            f.specialisation().map(s -> Numbers.of(s.chance(), 3)).orElse("–"),
            f.confidence().map(c -> decimal(c.topProbability())).orElse("–"),
            f.confidence().map(c -> decimal(c.meanEntropy())).orElse("–"),
            f.repetition().map(r -> percent(r.first())).orElse("–"),
            f.repetition().map(r -> percent(r.firstChance())).orElse("–"),
            f.repetition().map(r -> percent(r.either())).orElse("–"),
            f.repetition().map(r -> percent(r.eitherChance())).orElse("–"),
            f.repetition().map(r -> percent(r.overlap())).orElse("–"),
            f.repetition().map(r -> percent(r.overlapChance())).orElse("–"),
            f.router().map(s -> decimal(s.mean())).orElse("–"),
            f.experts().map(s -> decimal(s.mean())).orElse("–"));
    return "<tr><th scope=\"row\">"
        + f.layer()
        + "</th>"
        + cells.stream().map(c -> "<td>" + c + "</td>").collect(Collectors.joining())
        + "</tr>\n";
  }

  private static String percent(double share) {
    return Double.isNaN(share) ? "–" : Numbers.of(100 * share, 1) + "%";
  }

  private static String decimal(double value) {
    return Double.isNaN(value) ? "–" : Numbers.of(value, 3);
  }
}

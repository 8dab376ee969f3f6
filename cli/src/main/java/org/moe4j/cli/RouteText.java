package org.moe4j.cli;

import java.io.PrintWriter;
import java.util.List;
import java.util.Locale;
import org.moe4j.train.route.LayerFindings;
import org.moe4j.train.route.RoutingFindings;

/** The findings of {@code moe route} for a terminal: one line per layer. */
final class RouteText {
  private static final String HEAD =
      "layer  experts  max/mean  entropy  unused  domains  chance  top prob  repeat  chance"
          + "  either  chance";

  private RouteText() {}

  static void print(PrintWriter out, RoutingFindings findings) {
    out.printf(Locale.ROOT, "model   %s%ntext    %,d tokens:", findings.model(), findings.tokens());
    List<String> domains = findings.domains();
    for (int d = 0; d < domains.size(); d++) {
      double share = 100.0 * findings.domainTokens()[d] / findings.tokens();
      out.printf(Locale.ROOT, "%s %s %.0f%%", d == 0 ? "" : ",", domains.get(d), share);
    }
    out.printf("%n%n%s%n", HEAD);
    findings.layers().forEach(layer -> out.println(row(layer)));
    out.println();
    out.println(
        "entropy: of the load, as a part of the even one's. domains: what the expert tells of the");
    out.println(
        "domain, in bits. repeat: same first choice as the token before; either: one of the first");
    out.println("two in common. chance: the same for shuffled domains, or for any two tokens.");
    findings.layers().stream()
        .filter(layer -> !layer.note().isEmpty())
        .forEach(layer -> out.println("layer " + layer.layer() + ": " + layer.note()));
    findings.notes().forEach(out::println);
  }

  private static String row(LayerFindings f) {
    int experts = f.load().experts();
    double even = experts > 1 ? f.load().loadEntropy() / (Math.log(experts) / Math.log(2)) : 1;
    return String.format(
        Locale.ROOT,
        "%5d  %7d  %8.2f  %7s  %6d  %7s  %6s  %8s  %6s  %6s  %6s  %6s",
        f.layer(),
        experts,
        f.load().maxOverMean(),
        percent(even),
        f.load().unused(),
        f.specialisation().map(s -> decimal(s.bits())).orElse("-"),
        f.specialisation().map(s -> decimal(s.chance())).orElse("-"),
        f.confidence().map(c -> decimal(c.topProbability())).orElse("-"),
        f.repetition().map(r -> percent(r.first())).orElse("-"),
        f.repetition().map(r -> percent(r.firstChance())).orElse("-"),
        f.repetition().map(r -> percent(r.either())).orElse("-"),
        f.repetition().map(r -> percent(r.eitherChance())).orElse("-"));
  }

  private static String percent(double share) {
    return Double.isNaN(share) ? "-" : String.format(Locale.ROOT, "%.1f%%", 100 * share);
  }

  private static String decimal(double value) {
    return Double.isNaN(value) ? "-" : String.format(Locale.ROOT, "%.3f", value);
  }
}

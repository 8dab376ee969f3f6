package org.moe4j.train.route;

import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.function.ToDoubleFunction;
import org.moe4j.train.report.Numbers;

/** The figures of all layers that one looks for first, each with the layer it is extreme in. */
final class RouteTiles {
  private RouteTiles() {}

  static String html(RoutingFindings findings) {
    List<LayerFindings> layers = findings.layers();
    StringBuilder tiles = new StringBuilder("<dl class=\"tiles across\">");
    most(layers, l -> l.load().maxOverMean())
        .ifPresent(
            l ->
                tiles.append(
                    tile(
                        "Largest imbalance",
                        Numbers.brief(l.load().maxOverMean()) + "×",
                        "of the mean load, layer " + l.layer())));
    long unused = layers.stream().mapToLong(l -> l.load().unused()).sum();
    long all = layers.stream().mapToLong(l -> l.load().experts()).sum();
    tiles.append(
        tile(
            "Unused experts",
            Numbers.of((double) unused, 0),
            "of " + Numbers.of((double) all, 0) + " in all layers"));
    most(layers, l -> l.specialisation().map(s -> s.bits() - s.chance()).orElse(Double.NaN))
        .ifPresent(
            l ->
                tiles.append(
                    tile(
                        "Most specialised",
                        bits(l.specialisation().orElseThrow().bits()),
                        "layer "
                            + l.layer()
                            + ", by chance "
                            + Numbers.of(l.specialisation().orElseThrow().chance(), 3))));
    most(layers, l -> l.confidence().map(Confidence::topProbability).orElse(Double.NaN))
        .ifPresent(
            l ->
                tiles.append(
                    tile(
                        "Surest router",
                        Numbers.brief(l.confidence().orElseThrow().topProbability()),
                        "mean top probability, layer " + l.layer())));
    most(layers, l -> l.repetition().map(r -> r.first() / r.firstChance()).orElse(Double.NaN))
        .ifPresent(
            l ->
                tiles.append(
                    tile(
                        "Most repetitive",
                        Numbers.of(100 * l.repetition().orElseThrow().first(), 1) + "%",
                        "same first choice as the token before, layer "
                            + l.layer()
                            + ", by chance "
                            + Numbers.of(100 * l.repetition().orElseThrow().firstChance(), 1)
                            + "%")));
    return tiles.append("</dl>").toString();
  }

  private static String bits(double bits) {
    return Numbers.of(bits, 3) + " bits";
  }

  /** The layer in which {@code measure} is largest, of those where it is a number. */
  private static Optional<LayerFindings> most(
      List<LayerFindings> layers, ToDoubleFunction<LayerFindings> measure) {
    return layers.stream()
        .filter(l -> Double.isFinite(measure.applyAsDouble(l)))
        .max(Comparator.comparingDouble(measure));
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

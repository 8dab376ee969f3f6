package org.moe4j.lab;

import java.util.List;
import java.util.Locale;
import java.util.stream.DoubleStream;
import org.moe4j.train.report.Html;

/**
 * A finding as a small picture: each seed's effect as a dot, mean and standard deviation as a bar,
 * on a line whose shaded part is where the criterion is met.
 */
final class EffectStrip {
  private static final double WIDTH = 280;
  private static final double HEIGHT = 40;
  private static final double MIDDLE = 15;
  private static final double MARGIN = 8;

  private final double low;
  private final double high;
  private final StringBuilder svg = new StringBuilder(1000);

  private EffectStrip(double low, double high) {
    this.low = low;
    this.high = high;
  }

  /** The picture, an {@code svg} element; empty if an effect is not finite. */
  static String of(Finding f) {
    Criterion c = f.criterion();
    boolean better = c.rule() == Criterion.Rule.BETTER;
    double border = better ? c.threshold() : -c.threshold();
    double[] ends =
        DoubleStream.concat(
                f.effects().stream().mapToDouble(e -> e),
                DoubleStream.of(
                    0, border, c.expected(), f.effect() - f.spread(), f.effect() + f.spread()))
            .toArray();
    if (!DoubleStream.of(ends).allMatch(Double::isFinite)) {
      return "";
    }
    double low = DoubleStream.of(ends).min().orElse(0);
    double high = DoubleStream.of(ends).max().orElse(1);
    return new EffectStrip(low, high).drawn(f, border, better);
  }

  private String drawn(Finding f, double border, boolean better) {
    Criterion c = f.criterion();
    svg.append(
        String.format(
            Locale.ROOT,
            "<svg class=\"strip\" viewBox=\"0 0 %.0f %.0f\" role=\"img\" aria-label=\"%s\">",
            WIDTH,
            HEIGHT,
            Html.escape(Wording.outcome(f))));
    rectangle("counts", x(border), 3, WIDTH - x(border), 2 * MIDDLE - 6);
    line("axis", 0, MIDDLE, WIDTH, MIDDLE);
    line("zero", x(0), 1, x(0), 2 * MIDDLE - 1);
    rectangle("spread", x(f.effect() - f.spread()), MIDDLE - 4, 2 * (x(f.spread()) - x(0)), 8);
    if (better) {
      expected(x(c.expected()));
    }
    f.effects().forEach(e -> circle("seed", x(e), 3));
    circle("mean", x(f.effect()), 5);
    label(x(0), "0");
    for (double at : better ? List.of(c.expected()) : List.of(border)) {
      if (Math.abs(x(at) - x(0)) > 34) {
        label(x(at), Wording.effect(c.metric(), at));
      }
    }
    return svg.append("</svg>").toString();
  }

  private double x(double effect) {
    double span = high > low ? high - low : 1;
    return 2 * MARGIN + (WIDTH - 4 * MARGIN) * (effect - low) / span;
  }

  private void rectangle(String style, double x, double y, double width, double height) {
    svg.append(
        String.format(
            Locale.ROOT,
            "<rect class=\"%s\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\"/>",
            style,
            x,
            y,
            width,
            height));
  }

  private void line(String style, double x, double y, double toX, double toY) {
    svg.append(
        String.format(
            Locale.ROOT,
            "<line class=\"%s\" x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\"/>",
            style,
            x,
            y,
            toX,
            toY));
  }

  private void circle(String style, double x, double radius) {
    svg.append(
        String.format(
            Locale.ROOT,
            "<circle class=\"%s\" cx=\"%.1f\" cy=\"%.1f\" r=\"%.1f\"/>",
            style,
            x,
            MIDDLE,
            radius));
  }

  private void expected(double x) {
    svg.append(
        String.format(
            Locale.ROOT,
            "<path class=\"expected\" d=\"M%.1f %.1f l6 6 l-6 6 l-6 -6z\"/>",
            x,
            MIDDLE - 6));
  }

  private void label(double x, String text) {
    double inside = Math.clamp(x, text.length() * 3.0, WIDTH - text.length() * 3.0);
    svg.append(
        String.format(
            Locale.ROOT, "<text x=\"%.1f\" y=\"%.1f\">%s</text>", inside, HEIGHT - 1, text));
  }
}

package org.moe4j.lab;

import java.util.Locale;
import org.moe4j.train.report.Numbers;

/** Findings as sentences. */
public final class Wording {
  private Wording() {}

  /** A value in the digits of its metric. */
  public static String value(Metric metric, double value) {
    return Numbers.of(value, metric.decimals());
  }

  /** An effect: {@code 1.7 %} of a ratio, {@code 0.31} of a difference. */
  public static String effect(Metric metric, double effect) {
    return switch (metric.scale()) {
      case RATIO ->
          Math.abs(effect) >= Math.log(2)
              ? String.format(Locale.ROOT, "%.1f times", Math.exp(Math.abs(effect)))
              : String.format(
                  Locale.ROOT, Math.abs(effect) < 0.1 ? "%.2f %%" : "%.0f %%", 100 * effect);
      case DIFFERENCE -> String.format(Locale.ROOT, "%.3f", effect);
    };
  }

  /** What is asked of the two arms: {@code switch better than dense in validation loss}. */
  public static String asked(Criterion c) {
    return switch (c.rule()) {
      case BETTER -> "“%s” is better than “%s”".formatted(c.system(), c.baseline());
      case NOT_WORSE ->
          "“%s” is at most %s worse than “%s”"
              .formatted(c.system(), effect(c.metric(), c.threshold()), c.baseline());
    };
  }

  /** What came out: {@code 4.0512 against 4.1230: better by 1.7 %, spread over seeds 0.3 %}. */
  public static String found(Finding f) {
    Metric m = f.criterion().metric();
    String spread =
        f.seeds() == 1
            ? "one seed, so no spread"
            : "spread over " + f.seeds() + " seeds " + effect(m, f.spread());
    return "%s against %s: %s by %s, %s"
        .formatted(
            value(m, f.system()),
            value(m, f.baseline()),
            f.effect() >= 0 ? "better" : "worse",
            effect(m, Math.abs(f.effect())),
            spread);
  }

  /** The effect in short: {@code 1.70 % better ± 0.30 %, expected 2.00 %}. */
  public static String outcome(Finding f) {
    Metric m = f.criterion().metric();
    String size =
        effect(m, Math.abs(f.effect()))
            + (f.effect() >= 0 ? " better" : " worse")
            + (f.seeds() > 1 ? " ± " + effect(m, f.spread()) : "");
    return f.criterion().rule() == Criterion.Rule.BETTER
        ? size + ", expected " + effect(m, f.criterion().expected())
        : size;
  }

  /** How the verdict is reached. */
  public static String rule(Finding f) {
    Criterion c = f.criterion();
    return switch (c.rule()) {
      case BETTER ->
          "expected about %s; at least %s, and more than the spread, counts"
              .formatted(effect(c.metric(), c.expected()), effect(c.metric(), c.threshold()));
      case NOT_WORSE -> "the spread counts against it";
    };
  }
}

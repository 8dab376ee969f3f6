package org.moe4j.train.report;

import java.math.BigDecimal;
import java.math.MathContext;
import java.util.Locale;
import org.jspecify.annotations.Nullable;

/** Numbers as people read them, and as JSON keeps them. */
public final class Numbers {
  private static final MathContext SIX_DIGITS = new MathContext(6);
  private static final double LARGEST_WHOLE = 1L << 53;

  private Numbers() {}

  /** With a comma between thousands: 1,234 or 12.34. What rounds to zero has no sign. */
  public static String of(double value, int decimals) {
    String text = String.format(Locale.ROOT, "%,." + decimals + "f", value);
    boolean zero = value > -1 && text.chars().noneMatch(c -> c >= '1' && c <= '9');
    return zero && text.startsWith("-") ? text.substring(1) : text;
  }

  /** Three significant digits and the size of a count: 950, 12.3M, 1.41B. */
  public static String count(double value) {
    String[] units = {"", "K", "M", "B", "T"};
    double rest = value;
    int unit = 0;
    for (; rest >= 999.5 && unit < units.length - 1; unit++) {
      rest /= 1000;
    }
    int decimals = unit == 0 || rest >= 99.95 ? 0 : rest >= 9.995 ? 1 : 2;
    return of(rest, decimals) + units[unit];
  }

  /** A span of time: 42 s, 2 min 31 s, 3 h 05 min. */
  public static String duration(double seconds) {
    long all = Math.round(seconds);
    if (all < 60) {
      return all + " s";
    }
    return all < 3600
        ? String.format(Locale.ROOT, "%d min %02d s", all / 60, all % 60)
        : String.format(Locale.ROOT, "%,d h %02d min", all / 3600, all % 3600 / 60);
  }

  /**
   * Three significant digits, in scientific notation where that is shorter: 0.0021, 3.2e-06; a dash
   * for what is no number.
   */
  public static String brief(double value) {
    if (Double.isNaN(value)) {
      return "–";
    }
    double size = Math.abs(value);
    if (size != 0 && (size < 1e-4 || size >= 1e7)) {
      return String.format(Locale.ROOT, "%.2e", value);
    }
    int decimals = size == 0 ? 0 : (int) Math.max(0, 2 - Math.floor(Math.log10(size)));
    return of(value, Math.min(6, decimals));
  }

  /** The number for JSON, whole where it is whole; null for what JSON has no number for. */
  public static @Nullable Number exact(double value) {
    if (!Double.isFinite(value)) {
      return null;
    }
    return value == Math.rint(value) && Math.abs(value) < LARGEST_WHOLE
        ? (Number) (long) value
        : (Number) value;
  }

  /** The number for JSON with the six digits that a chart can show. */
  public static @Nullable Number charted(double value) {
    return Double.isFinite(value)
        ? exact(new BigDecimal(value).round(SIX_DIGITS).doubleValue())
        : null;
  }
}

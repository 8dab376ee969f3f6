package org.moe4j.train.inspect;

import java.math.BigDecimal;
import java.math.MathContext;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/** Numbers and constants as people read them. */
public final class Figures {
  private static final MathContext DIGITS = new MathContext(5);
  private static final double SMALLEST = 1e-4;

  private Figures() {}

  /** Whole numbers in groups of three digits, others with up to five digits. */
  public static String of(double value) {
    if (value == Math.rint(value) && Math.abs(value) < 1e15) {
      return String.format(Locale.ROOT, "%,d", (long) value);
    }
    BigDecimal rounded = new BigDecimal(value).round(DIGITS).stripTrailingZeros();
    return Math.abs(value) < SMALLEST ? rounded.toString() : rounded.toPlainString();
  }

  /** Indices in rising order with stretches in short: {@code 0, 2-5}. */
  public static String ranges(List<Integer> indices) {
    List<String> parts = new ArrayList<>();
    int i = 0;
    while (i < indices.size()) {
      int from = i;
      while (i + 1 < indices.size() && indices.get(i + 1) == indices.get(i) + 1) {
        i++;
      }
      int first = indices.get(from);
      int last = indices.get(i);
      parts.add(first == last ? "" + first : first + (last == first + 1 ? ", " : "-") + last);
      i++;
    }
    return String.join(", ", parts);
  }

  /** {@code layer 3} or {@code layers 0-2, 4}. */
  public static String layers(List<Integer> indices) {
    return (indices.size() == 1 ? "layer " : "layers ") + ranges(indices);
  }

  /** A constant as a field: {@code per_head}. */
  static String field(Enum<?> constant) {
    return constant.name().toLowerCase(Locale.ROOT);
  }

  /** A constant in words: {@code quick gelu}. */
  static String words(Enum<?> constant) {
    return field(constant).replace('_', ' ');
  }
}

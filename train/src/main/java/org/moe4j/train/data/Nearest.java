package org.moe4j.train.data;

import java.util.Collection;
import java.util.Comparator;
import java.util.Locale;

/** The known name that a mistyped one most likely means. */
public final class Nearest {
  private Nearest() {}

  /**
   * {@code "; did you mean \"text\"?"} with the nearest of {@code known} by edit distance (letter
   * case aside), or an empty string when none is near: more than half of the name would change.
   */
  public static String suggestion(String name, Collection<String> known) {
    return known.stream()
        .filter(candidate -> distance(name, candidate) <= (name.length() + 1) / 2)
        .min(Comparator.comparingInt(candidate -> distance(name, candidate)))
        .map(candidate -> "; did you mean \"" + candidate + "\"?")
        .orElse("");
  }

  /** Levenshtein's distance, letter case aside. */
  static int distance(String one, String other) {
    String a = one.toLowerCase(Locale.ROOT);
    String b = other.toLowerCase(Locale.ROOT);
    int[] row = new int[b.length() + 1];
    for (int j = 0; j < row.length; j++) {
      row[j] = j;
    }
    for (int i = 1; i <= a.length(); i++) {
      int diagonal = row[0];
      row[0] = i;
      for (int j = 1; j < row.length; j++) {
        int change = diagonal + (a.charAt(i - 1) == b.charAt(j - 1) ? 0 : 1);
        diagonal = row[j];
        row[j] = Math.min(change, 1 + Math.min(row[j], row[j - 1]));
      }
    }
    return row[b.length()];
  }
}

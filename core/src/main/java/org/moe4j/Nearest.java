package org.moe4j;

import java.util.Collection;
import java.util.Comparator;

/** Finds the known name a mistyped one was probably meant to be. */
public final class Nearest {
  private Nearest() {}

  /** The known name with the fewest edits from {@code name}; the empty text if none is known. */
  public static String to(String name, Collection<String> known) {
    return known.stream()
        .min(Comparator.comparingInt((String k) -> edits(name, k)).thenComparing(k -> k))
        .orElse("");
  }

  private static int edits(String a, String b) {
    int[] row = new int[b.length() + 1];
    for (int j = 0; j <= b.length(); j++) {
      row[j] = j;
    }
    for (int i = 1; i <= a.length(); i++) {
      int diagonal = row[0];
      row[0] = i;
      for (int j = 1; j <= b.length(); j++) {
        int change = diagonal + (a.charAt(i - 1) == b.charAt(j - 1) ? 0 : 1);
        diagonal = row[j];
        row[j] = Math.min(change, 1 + Math.min(row[j], row[j - 1]));
      }
    }
    return row[b.length()];
  }
}

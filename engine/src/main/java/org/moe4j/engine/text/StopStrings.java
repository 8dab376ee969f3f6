package org.moe4j.engine.text;

import java.util.List;

/**
 * Ends a text before the first of some strings that it comes to, however the text is cut. What may
 * be the beginning of one of them is held back until it is clear. The one whose end comes first
 * counts, of several that end there the longest.
 */
public final class StopStrings {
  private final List<String> strings;
  private String held = "";
  private boolean found;

  /** Looks for {@code strings}, of which none is empty. */
  public StopStrings(List<String> strings) {
    this.strings = List.copyOf(strings);
  }

  /** The text that stands for certain after {@code more} has come. */
  public String push(String more) {
    if (found) {
      return "";
    }
    String text = held.concat(more);
    int begin = -1;
    int end = Integer.MAX_VALUE;
    for (String stop : strings) {
      int at = text.indexOf(stop);
      if (at >= 0 && (at + stop.length() < end || (at + stop.length() == end && at < begin))) {
        begin = at;
        end = at + stop.length();
      }
    }
    found = begin >= 0;
    int certain = found ? begin : text.length() - begun(text);
    held = found ? "" : text.substring(certain);
    return text.substring(0, certain);
  }

  /** How much at the end of {@code text} may be the beginning of a string. */
  private int begun(String text) {
    int most = 0;
    for (String stop : strings) {
      for (int n = Math.min(stop.length() - 1, text.length()); n > most; n--) {
        if (text.regionMatches(text.length() - n, stop, 0, n)) {
          most = n;
        }
      }
    }
    return most;
  }

  /** Whether one of the strings has come; all text after it is dropped. */
  public boolean found() {
    return found;
  }

  /** What was held back, at the end of the text. */
  public String finish() {
    String rest = held;
    held = "";
    return rest;
  }
}

package org.moe4j.tensor;

/** Shows names from files in messages: one line, of bounded length, without control characters. */
final class Names {
  private static final int LONGEST = 120;

  private Names() {}

  static String shown(String name) {
    String cut = name.length() <= LONGEST ? name : name.substring(0, LONGEST) + "...";
    StringBuilder out = new StringBuilder(cut.length());
    cut.chars().forEach(c -> out.append(Character.isISOControl(c) ? '?' : (char) c));
    return out.toString();
  }
}

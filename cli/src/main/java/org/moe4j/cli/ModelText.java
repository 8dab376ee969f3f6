package org.moe4j.cli;

import java.util.regex.Pattern;

/** What a model writes, as it is shown to someone. */
final class ModelText {
  private static final Pattern CONTROL = Pattern.compile("[\\p{Cc}&&[^\n\t]]");

  private ModelText() {}

  /** A model may make the sequences that steer a terminal: U+FFFD for each control character. */
  static String harmless(String text) {
    return CONTROL.matcher(text).replaceAll("\uFFFD");
  }
}

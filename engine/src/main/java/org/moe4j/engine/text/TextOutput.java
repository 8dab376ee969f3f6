package org.moe4j.engine.text;

import java.util.List;

/**
 * The text that tokens make, told as it comes: in whole characters, and nothing that may yet turn
 * out to be part of a stop text. One for each text; a batch feeds one for each of its texts.
 */
public final class TextOutput {
  private final TextStream stream;
  private final StopStrings stops;
  private final StringBuilder all = new StringBuilder();

  /** Of tokens of {@code tokenizer}, ended by any of {@code stops}. */
  public TextOutput(Tokenizer tokenizer, List<String> stops) {
    this.stream = tokenizer.stream();
    this.stops = new StopStrings(stops);
  }

  /** The text that stands for certain after {@code token}. */
  public String push(int token) {
    return told(stops.push(stream.push(token)));
  }

  /** The rest, after the last token. */
  public String finish() {
    return told(stops.push(stream.finish()).concat(stops.finish()));
  }

  private String told(String part) {
    all.append(part);
    return part;
  }

  /** Whether a stop text has come; what follows is not told. */
  public boolean stopped() {
    return stops.found();
  }

  /** Everything that was told. */
  public String text() {
    return all.toString();
  }
}

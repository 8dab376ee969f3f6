package org.moe4j.train.data;

import java.util.Objects;
import java.util.Optional;

/**
 * One text of a corpus; the unit that is split into training and validation.
 *
 * @param text the text, never blank when a {@link TextSource} hands it out
 * @param domain where the text comes from ("noun.animal", a folder, a field's value), if known
 */
public record Document(String text, Optional<String> domain) {
  /** Checks that nothing is null. */
  public Document {
    Objects.requireNonNull(text);
    Objects.requireNonNull(domain);
  }

  /** A document without a domain. */
  public static Document of(String text) {
    return new Document(text, Optional.empty());
  }

  /** A document of {@code domain}. */
  public static Document of(String text, String domain) {
    return new Document(text, Optional.of(domain));
  }
}

package org.moe4j.train.data;

import java.util.Objects;
import java.util.Optional;

/**
 * Which fields of a record are read.
 *
 * @param text the field that holds the text
 * @param domain the field that holds the document's domain, if there is one
 */
public record Fields(String text, Optional<String> domain) {
  /** The field "text" and no domain. */
  public static final Fields DEFAULT = new Fields("text", Optional.empty());

  /** Checks that nothing is null. */
  public Fields {
    Objects.requireNonNull(text);
    Objects.requireNonNull(domain);
  }
}

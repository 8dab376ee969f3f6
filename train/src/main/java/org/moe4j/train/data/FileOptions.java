package org.moe4j.train.data;

import java.util.Objects;

/**
 * How files become documents.
 *
 * @param fields the fields of JSONL, CSV and Parquet files
 * @param byParagraph whether a plain text file holds many documents, separated by blank lines;
 *     otherwise each file is one document
 */
public record FileOptions(Fields fields, boolean byParagraph) {
  /** The field "text"; each plain file is one document. */
  public static final FileOptions DEFAULT = new FileOptions(Fields.DEFAULT, false);

  /** Checks that nothing is null. */
  public FileOptions {
    Objects.requireNonNull(fields);
  }
}

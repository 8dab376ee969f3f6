package org.moe4j.train.data;

import java.nio.file.Path;
import java.util.List;
import java.util.function.Consumer;

/**
 * A corpus that can be read any number of times, one document after the other, always in the same
 * order. What is read from files is not kept in memory between documents.
 */
public sealed interface TextSource permits WordNetSource, FileSource, SqlSource, MemorySource {
  /**
   * Hands every document to {@code sink}. Missing and blank texts are skipped and counted.
   *
   * @throws org.moe4j.tensor.MoeException when a file, field or query is wrong, or when the source
   *     holds no text at all; the message names the place
   */
  SourceReport read(Consumer<? super Document> sink);

  /** What this source is, for messages and reports: "WordNet 3.1 glosses", a path, a query. */
  String description();

  /** The glosses of WordNet 3.1, which are on the class path. */
  static TextSource wordNet() {
    return new WordNetSource();
  }

  /** Documents that are in memory already. */
  static TextSource of(String description, List<Document> documents) {
    return new MemorySource(description, documents);
  }

  /** Files and folders; see {@link FileSource} for what is read how. */
  static TextSource files(List<Path> paths, FileOptions options) {
    return new FileSource(paths, options);
  }

  /**
   * The rows of a SQL query over files, for instance {@code SELECT body AS text FROM
   * 'posts/*.parquet' WHERE lang = 'en' ORDER BY id}.
   */
  static TextSource sql(String query, Fields fields) {
    return new SqlSource(query, fields);
  }
}

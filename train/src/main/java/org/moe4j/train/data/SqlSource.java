package org.moe4j.train.data;

import java.util.Objects;
import java.util.function.Consumer;

/**
 * The rows of a SQL query over files, run by DuckDB in memory (at most 2 GB of working memory, two
 * threads, no network). The query is a single SELECT; give it an ORDER BY where the order of rows
 * matters.
 *
 * @param query a SELECT statement in DuckDB's dialect
 * @param fields the columns of its result that hold text and domain
 */
public record SqlSource(String query, Fields fields) implements TextSource {
  /** Checks that nothing is null. */
  public SqlSource {
    Objects.requireNonNull(query);
    Objects.requireNonNull(fields);
  }

  @Override
  public SourceReport read(Consumer<? super Document> sink) {
    DocumentSink documents = new DocumentSink(sink);
    try (DuckDbReader tables = new DuckDbReader()) {
      tables.readQuery(query.strip().replaceFirst(";$", ""), fields, documents);
    }
    return documents.report(description());
  }

  @Override
  public String description() {
    return "the query \"" + query.strip().replaceAll("\\s+", " ") + "\"";
  }
}

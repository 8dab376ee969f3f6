package org.moe4j.train.data;

import java.util.List;
import java.util.function.Consumer;

/**
 * Documents that are in memory already.
 *
 * @param description what they are, for messages and reports
 * @param documents in the order in which they are read
 */
public record MemorySource(String description, List<Document> documents) implements TextSource {
  /** Copies the list. */
  public MemorySource {
    documents = List.copyOf(documents);
  }

  @Override
  public SourceReport read(Consumer<? super Document> sink) {
    DocumentSink counted = new DocumentSink(sink);
    documents.forEach(d -> counted.accept(d.text(), d.domain()));
    return counted.report(description);
  }
}

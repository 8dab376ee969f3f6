package org.moe4j.train.data;

import java.util.Optional;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;
import org.moe4j.tensor.MoeException;

/** Counts what is skipped on the way to the consumer of a source. */
final class DocumentSink {
  private final Consumer<? super Document> consumer;
  private long documents;
  private long nulls;
  private long blanks;
  private long binaryFiles;

  DocumentSink(Consumer<? super Document> consumer) {
    this.consumer = consumer;
  }

  void accept(@Nullable String text, Optional<String> domain) {
    if (text == null) {
      nulls++;
    } else if (text.isBlank()) {
      blanks++;
    } else {
      documents++;
      consumer.accept(new Document(text, domain));
    }
  }

  void binaryFile() {
    binaryFiles++;
  }

  /** The report, or the error of a source without any text. */
  SourceReport report(String description) {
    if (documents == 0) {
      throw new MoeException(
          "%s: the corpus is empty (%d texts are NULL, %d blank, %d files binary); give it text"
              .formatted(description, nulls, blanks, binaryFiles));
    }
    return new SourceReport(documents, nulls, blanks, binaryFiles);
  }
}

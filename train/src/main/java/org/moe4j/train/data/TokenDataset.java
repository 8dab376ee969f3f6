package org.moe4j.train.data;

import java.util.List;

/**
 * A corpus as tokens, split by document into training and validation. It depends on the documents,
 * the tokenizer and the split alone, not on the order of the documents or the number of threads: on
 * each side they are in the order of their seeded hashes.
 *
 * @param train the training documents
 * @param validation the held-out documents; at least one
 * @param domains the names of the domains by id, sorted
 * @param report what reading the source met
 * @param fingerprint changes when any token does; keep it with a checkpoint to notice that the
 *     corpus is another one
 */
public record TokenDataset(
    TokenStream train,
    TokenStream validation,
    List<String> domains,
    SourceReport report,
    long fingerprint) {

  /**
   * Reads and encodes every document of {@code source}, using all processors.
   *
   * @throws org.moe4j.tensor.MoeException for an error of the source, a corpus of a single
   *     document, which cannot be split, or one of more than two billion tokens
   */
  public static TokenDataset build(TextSource source, BpeTokenizer tokenizer, DocumentSplit split) {
    return build(source, tokenizer, split, Runtime.getRuntime().availableProcessors());
  }

  /** The same, using {@code threads} threads beside the one that reads. */
  static TokenDataset build(
      TextSource source, BpeTokenizer tokenizer, DocumentSplit split, int threads) {
    try (DatasetBuilder builder = new DatasetBuilder(tokenizer, split, threads)) {
      SourceReport report = source.read(builder::add);
      return builder.build(source.description(), report);
    }
  }
}

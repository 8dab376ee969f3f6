package org.moe4j.train.data;

import org.moe4j.tensor.MoeException;

/**
 * Which documents are held out for validation: those whose text, hashed with the seed, falls below
 * the fraction. The order of documents does not matter, a document keeps its side when the corpus
 * grows, and copies of a text are on one side.
 *
 * @param seed another seed holds out other documents
 * @param validation the share of documents to hold out, between 0 and 1 (both excluded)
 */
public record DocumentSplit(long seed, double validation) {
  /** Checks the fraction. */
  public DocumentSplit {
    if (!(validation > 0 && validation < 1)) {
      throw new MoeException(
          "validation fraction " + validation + ": choose one between 0 and 1, such as 0.02");
    }
  }

  /** Whether {@code text} is held out. */
  public boolean validates(String text) {
    return validates(hash(text));
  }

  /** A hash of {@code text} and the seed; documents are shuffled by sorting on it. */
  long hash(String text) {
    return SplitMix64.hash(text, seed);
  }

  boolean validates(long hash) {
    // A second mixing: the order within each side must not depend on the threshold.
    return (SplitMix64.mix(hash) >>> 11) * 0x1p-53 < validation;
  }
}

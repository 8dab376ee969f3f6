package org.moe4j.engine.text;

/** Turns text without special tokens into tokens. */
sealed interface Encoder permits BytePairs, ScoredPairs {
  /**
   * Adds the tokens of {@code text}.
   *
   * @param begins whether nothing or a special token stands before it
   */
  void encode(String text, boolean begins, Ids out);
}

package org.moe4j.train.route;

/**
 * Something that is learned of one layer from what its router did, batch after batch. What it keeps
 * does not grow with the text.
 */
interface Analysis {
  /** Takes note of one batch: {@code trace} is of {@code tokens}. */
  void add(TokenBatch tokens, RoutingTrace trace);
}

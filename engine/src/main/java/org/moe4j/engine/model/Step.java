package org.moe4j.engine.model;

import java.util.List;
import org.moe4j.engine.cache.Cache;

/**
 * Tokens to put behind what caches hold, of any number of sequences.
 *
 * @param pieces each for another cache
 */
public record Step(List<Piece> pieces) {
  /**
   * The next tokens of a sequence.
   *
   * @param cache where their keys and values go
   * @param every whether the logits of every token are wanted, else of the last alone
   */
  @SuppressWarnings("ArrayRecordComponent") // handed over, never compared
  public record Piece(Cache cache, int[] tokens, boolean every) {}

  int tokens() {
    return pieces.stream().mapToInt(p -> p.tokens.length).sum();
  }
}

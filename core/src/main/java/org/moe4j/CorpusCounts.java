package org.moe4j;

import org.moe4j.tensor.MoeException;

/**
 * How often things occur in a training corpus, for routers that are fixed by data (S13, S14).
 *
 * @param tokens occurrences of each vocabulary id [V]
 * @param domains tokens of each domain [D]; empty if the corpus has none
 */
@SuppressWarnings("ArrayRecordComponent") // read once, never compared
public record CorpusCounts(long[] tokens, long[] domains) {
  /** Refuses an empty vocabulary. */
  public CorpusCounts {
    if (tokens.length == 0) {
      throw new MoeException("corpus counts need a vocabulary of at least one token");
    }
  }
}

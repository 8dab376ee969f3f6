package org.moe4j.train.route;

import org.moe4j.tensor.MoeException;

/**
 * T = B * S tokens of B sequences, row by row, as the model read them. Each sequence is a piece of
 * one text and so has one domain.
 *
 * @param sequences B
 * @param length S
 * @param ids token ids [T]
 * @param domains the domain of each sequence [B]
 * @param numbers a number for each sequence by which it can be told from all others [B]
 * @param counted whether a token is counted: false for padding and for the mark that begins a
 *     sequence [T]
 */
public record TokenBatch(
    int sequences, int length, long[] ids, int[] domains, long[] numbers, boolean[] counted) {
  /** Checks that the shapes agree. */
  public TokenBatch {
    int tokens = sequences * length;
    if (ids.length != tokens
        || counted.length != tokens
        || domains.length != sequences
        || numbers.length != sequences) {
      throw new MoeException(
          "the tokens are not those of " + sequences + " sequences of " + length);
    }
  }

  /** T. */
  public int tokens() {
    return ids.length;
  }

  /** The domain of token {@code t}. */
  public int domain(int t) {
    return domains[t / length];
  }

  /** Whether token {@code t} and the one before it are neighbours of one sequence, both counted. */
  public boolean follows(int t) {
    return t % length > 0 && counted[t] && counted[t - 1];
  }
}

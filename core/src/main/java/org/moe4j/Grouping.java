package org.moe4j;

import org.moe4j.tensor.MoeException;

/**
 * How the T tokens of a pass are cut, in order, into groups of equal size: the unit over which
 * capacity is shared or a loss is averaged.
 *
 * @param kind what a group is
 * @param size tokens of a group, for the kinds that need it
 */
public record Grouping(Kind kind, long size) {
  /** What a group is. */
  public enum Kind {
    /** All tokens. */
    BATCH,
    /** One sequence. */
    SEQUENCE,
    /** A fixed number of consecutive tokens, which must divide T. */
    TOKENS,
    /** About that many: the fewest groups of at most that size which divide T (Mesh). */
    TOKENS_AT_MOST
  }

  /** One group of all tokens. */
  public static final Grouping BATCH = new Grouping(Kind.BATCH, 0);

  /** A group per sequence. */
  public static final Grouping SEQUENCE = new Grouping(Kind.SEQUENCE, 0);

  public Grouping {
    if ((kind == Kind.TOKENS || kind == Kind.TOKENS_AT_MOST) && size < 1) {
      throw new MoeException("a group of " + size + " tokens; give at least 1");
    }
  }

  /** Groups of exactly {@code size} tokens. */
  public static Grouping tokens(long size) {
    return new Grouping(Kind.TOKENS, size);
  }

  /** The fewest equal groups of at most {@code size} tokens. */
  public static Grouping tokensAtMost(long size) {
    return new Grouping(Kind.TOKENS_AT_MOST, size);
  }

  /**
   * Tokens of one group; 0 if there are no tokens.
   *
   * @throws MoeException if the tokens do not divide
   */
  public long groupSize(TokenContext context) {
    long tokens = context.tokens();
    if (tokens == 0) {
      return 0;
    }
    return switch (kind) {
      case BATCH -> tokens;
      case SEQUENCE -> context.length();
      case TOKENS -> {
        if (tokens % size != 0) {
          throw new MoeException(
              tokens
                  + " tokens are not divisible into groups of "
                  + size
                  + "; change the batch or"
                  + " the group size");
        }
        yield size;
      }
      case TOKENS_AT_MOST -> {
        long groups = (tokens + size - 1) / size;
        while (tokens % groups != 0) {
          groups++;
        }
        yield tokens / groups;
      }
    };
  }

  /** G, the number of groups. */
  public long groups(TokenContext context) {
    long size = groupSize(context);
    return size == 0 ? 0 : context.tokens() / size;
  }
}

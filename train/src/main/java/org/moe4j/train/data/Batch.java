package org.moe4j.train.data;

/**
 * B sequences of S tokens, one behind the other, each token with the one to predict. The arrays are
 * the batch's own: each has B * S entries, sequence b at [b * S, (b + 1) * S).
 */
public final class Batch {
  /** The target of a padding position: no loss is taken there. */
  public static final int IGNORED = -100;

  private final int sequences;
  private final int length;
  private final long[] inputs;
  private final long[] targets;
  private final int[] domains;
  private final long[] texts;

  /** An empty batch to be filled: B {@code sequences} of S = {@code length}. */
  Batch(int sequences, int length) {
    this.sequences = sequences;
    this.length = length;
    this.inputs = new long[sequences * length];
    this.targets = new long[sequences * length];
    this.domains = new int[sequences * length];
    this.texts = new long[sequences * length];
  }

  /** B, the number of sequences. */
  public int sequences() {
    return sequences;
  }

  /** S, the tokens of a sequence. */
  public int length() {
    return length;
  }

  /** Token ids [B * S]. */
  public long[] inputs() {
    return inputs;
  }

  /** The id that follows each input [B * S], or {@link #IGNORED}. */
  public long[] targets() {
    return targets;
  }

  /** The domain of each input [B * S], or {@link TokenStream#NO_DOMAIN}. */
  public int[] domains() {
    return domains;
  }

  /**
   * A number for each input [B * S] that says which text it belongs to; an end-of-text belongs to
   * the text that begins behind it.
   */
  public long[] texts() {
    return texts;
  }

  /** How many targets are not {@link #IGNORED}. */
  public int scored() {
    int scored = 0;
    for (long target : targets) {
      scored += target == IGNORED ? 0 : 1;
    }
    return scored;
  }
}

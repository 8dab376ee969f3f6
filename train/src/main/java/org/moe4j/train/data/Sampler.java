package org.moe4j.train.data;

import org.moe4j.tensor.MoeException;

/**
 * An endless row of training batches. Every epoch cuts the stream into sequences anew, beginning at
 * another offset, and shuffles them; each target is predicted once an epoch (but for up to S at
 * either end). A batch may span two epochs, so all have the same shape. What comes next depends on
 * the stream and the {@link #state} alone. Not for use by several threads at once.
 */
public final class Sampler {
  private final TokenStream stream;
  private final int batchSize;
  private final int length;
  private final long seed;
  private int epoch;
  private int position;
  private int offset;
  private int[] order = new int[0];

  /**
   * A sampler of batches of {@code batchSize} sequences of {@code length} tokens, at {@code state}.
   *
   * @throws MoeException if the stream is shorter than one sequence, or the state is of another
   *     stream
   */
  public Sampler(TokenStream stream, int batchSize, int length, SamplerState state) {
    if (batchSize < 1 || length < 1 || (long) batchSize * length > Integer.MAX_VALUE - 8) {
      throw new MoeException(
          "batch of %d sequences of %d tokens: both must be positive and their product below 2^31"
              .formatted(batchSize, length));
    }
    if (stream.size() <= length) {
      throw new MoeException(
          "the training text has %d tokens, too few for one sequence of %d and its target; give"
                  .formatted(stream.size(), length)
              + " more text or a shorter sequence");
    }
    this.stream = stream;
    this.batchSize = batchSize;
    this.length = length;
    this.seed = state.seed();
    this.epoch = state.epoch();
    shuffle();
    if (state.position() > order.length) {
      throw new MoeException(
          "sampler state: position %d, but an epoch has %d sequences; the state is of another text"
                  .formatted(state.position(), order.length)
              + " or sequence length");
    }
    this.position = state.position();
  }

  /** The next batch. */
  public Batch next() {
    Batch batch = new Batch(batchSize, length);
    for (int b = 0; b < batchSize; b++) {
      if (position == order.length) {
        epoch++;
        position = 0;
        shuffle();
      }
      stream.window(offset + order[position++] * length, length, batch, b * length);
    }
    return batch;
  }

  /** Where this sampler stands: a new one made with it continues with the next batch. */
  public SamplerState state() {
    return new SamplerState(seed, epoch, position);
  }

  /** The sequences of the current epoch. */
  public int sequencesPerEpoch() {
    return order.length;
  }

  private void shuffle() {
    SplitMix64 random = new SplitMix64(SplitMix64.mix(seed) + epoch);
    int targets = stream.size() - 1;
    offset = random.next(Math.min(length, targets - length + 1));
    order = new int[(targets - offset) / length];
    for (int i = 0; i < order.length; i++) {
      int j = random.next(i + 1);
      order[i] = order[j];
      order[j] = i;
    }
  }
}

package org.moe4j.train.data;

import org.moe4j.tensor.MoeException;

/**
 * Where a {@link Sampler} stands; save it with a checkpoint to go on with exactly the next batch.
 *
 * @param seed of the shuffling
 * @param epoch full passes done
 * @param position sequences of this epoch already handed out
 */
public record SamplerState(long seed, int epoch, int position) {
  /** Checks the numbers. */
  public SamplerState {
    if (epoch < 0 || position < 0) {
      throw new MoeException(
          "sampler state: epoch %d and position %d must not be negative; the file is damaged"
              .formatted(epoch, position));
    }
  }

  /** The start of the sequence that {@code seed} gives. */
  public static SamplerState start(long seed) {
    return new SamplerState(seed, 0, 0);
  }
}

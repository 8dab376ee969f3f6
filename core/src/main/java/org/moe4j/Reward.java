package org.moe4j;

import org.moe4j.tensor.Tensor;

/**
 * How well a model predicted what follows each token of a pass: what routers are rewarded with that
 * learn by reinforcement.
 *
 * @param logLikelihood [T] natural logarithm of the next token's probability, without gradient
 * @param counted [T] BOOL: tokens that have a next one to predict; the others' values mean nothing
 */
public record Reward(Tensor logLikelihood, Tensor counted) {
  /** The same for tokens cut into {@code parts} rows each: a part is rewarded as its token is. */
  Reward ofParts(long parts) {
    return parts == 1
        ? this
        : new Reward(logLikelihood.repeatInterleave(parts, 0), counted.repeatInterleave(parts, 0));
  }
}

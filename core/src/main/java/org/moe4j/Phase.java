package org.moe4j;

/** What a forward pass is for. */
public enum Phase {
  /** Learning: noise, jitter, dropout and balance losses are on. */
  TRAIN,
  /** Scoring whole sequences: deterministic. */
  EVAL,
  /** Generating token by token: deterministic, and no token may depend on a later one. */
  DECODE;

  /** True for {@link #TRAIN}. */
  public boolean training() {
    return this == TRAIN;
  }
}

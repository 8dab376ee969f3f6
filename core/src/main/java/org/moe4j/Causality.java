package org.moe4j;

/** Which other tokens a router looks at when it decides about one. */
public enum Causality {
  /** None: fit for decoding, independent of the batch. */
  PER_TOKEN,
  /** Earlier tokens of the same sequence. */
  PAST,
  /**
   * Other tokens in training alone, where an assignment or a batch statistic helps it learn;
   * evaluation and decoding decide about each token alone (S09, S17).
   */
  TRAINING_ONLY,
  /** Later tokens or other sequences: not fit for decoding, and a leak in causal training. */
  LOOKS_AROUND;

  /** True if a token's result in decoding does not depend on later tokens. */
  public boolean decodes() {
    return this != LOOKS_AROUND;
  }
}

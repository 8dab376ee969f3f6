package org.moe4j;

/** Which other tokens a router looks at when it decides about one. */
public enum Causality {
  /** None: fit for decoding, independent of the batch. */
  PER_TOKEN,
  /** Earlier tokens of the same sequence. */
  PAST,
  /** Later tokens or other sequences: not fit for decoding, and a leak in causal training. */
  LOOKS_AROUND
}

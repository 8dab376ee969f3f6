package org.moe4j.models;

/** Which normalisation a decoder uses. */
public enum NormKind {
  /** Root mean square, a scale, no shift: {@link RmsNorm}. */
  RMS,
  /** Mean and variance, a scale and a shift: {@link LayerNorm}. */
  LAYER
}

package org.moe4j.models;

/** Which normalisation a decoder uses. */
public enum NormKind {
  /** Root mean square, a scale, no shift: {@link RmsNorm}. */
  RMS,
  /** Mean and variance, a scale and a shift: {@link LayerNorm}. */
  LAYER,
  /** Mean and variance and a scale alone. */
  LAYER_WITHOUT_SHIFT;

  /** Parameters of a norm over {@code d} channels. */
  long parameters(long d) {
    return this == LAYER ? 2 * d : d;
  }
}

package org.moe4j.engine.model;

import org.moe4j.engine.kernel.Matrix;

/** A gated feed-forward network: down (silu (gate x) * up x). */
public record Expert(Matrix gate, Matrix up, Matrix down, Biases biases) {
  /** What is added to products; each one number for each row of its matrix, or none. */
  @SuppressWarnings("ArrayRecordComponent") // handed over, never compared
  public record Biases(float[] gate, float[] up, float[] down) {
    /** Nothing. */
    public static final Biases NONE = new Biases(new float[0], new float[0], new float[0]);
  }

  /** Without biases. */
  public Expert(Matrix gate, Matrix up, Matrix down) {
    this(gate, up, down, Biases.NONE);
  }

  /** The last product. */
  Affine affineDown() {
    return new Affine(down, biases.down());
  }

  /** Bytes of memory. */
  public long bytes() {
    return gate.bytes() + up.bytes() + down.bytes();
  }
}

package org.moe4j.engine.model;

import org.moe4j.engine.kernel.Matrix;

/** A gated feed-forward network: down (silu (gate x) * up x). */
public record Expert(Matrix gate, Matrix up, Matrix down) {
  /** Bytes of memory. */
  public long bytes() {
    return gate.bytes() + up.bytes() + down.bytes();
  }
}

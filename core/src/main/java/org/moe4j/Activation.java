package org.moe4j;

import org.moe4j.tensor.Ops;
import org.moe4j.tensor.Tensor;

/** The non-linearity of an expert. */
public enum Activation {
  /** max(x, 0). */
  RELU,
  /** x Phi(x), exact. */
  GELU,
  /** The tanh approximation of {@link #GELU}, used by T5 and MegaBlocks. */
  GELU_TANH,
  /** x sigmoid(x). */
  SILU;

  /** Elementwise. */
  public Tensor of(Tensor x) {
    return switch (this) {
      case RELU -> Ops.relu(x);
      case GELU -> Ops.gelu(x);
      case GELU_TANH -> {
        Tensor inner = x.add(x.pow(3).mul(0.044715)).mul(Math.sqrt(2 / Math.PI));
        yield x.mul(0.5).mul(inner.tanh().add(1));
      }
      case SILU -> Ops.silu(x);
    };
  }
}

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
  SILU,
  /** x sigmoid(1.702 x), a cheap stand-in for {@link #GELU}; of gpt-oss. */
  QUICK_GELU;

  private static final double QUICK = 1.702;

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
      case QUICK_GELU -> x.mul(x.mul(QUICK).sigmoid());
    };
  }

  /** Gradient at {@code x} for the gradient {@code dy} of the output. */
  Tensor gradient(Tensor dy, Tensor x) {
    return switch (this) {
      case RELU -> Ops.reluBackward(dy, x);
      case GELU -> Ops.geluBackward(dy, x);
      case GELU_TANH -> {
        // With u = a (x + b x^3): d/dx of x/2 (1 + tanh u) = (1 + tanh u)/2 + x/2 (1 - tanh^2 u)
        // u'.
        double a = Math.sqrt(2 / Math.PI);
        double b = 0.044715;
        Tensor tanh = x.add(x.pow(3).mul(b)).mul(a).tanh();
        Tensor inner = x.square().mul(3 * b).add(1).mul(a);
        Tensor slope = tanh.square().neg().add(1).mul(inner).mul(x);
        yield dy.mul(tanh.add(1).add(slope)).mul(0.5);
      }
      case SILU -> Ops.siluBackward(dy, x);
      case QUICK_GELU -> {
        // With s = sigmoid(a x): d/dx of x s = s + a x s (1 - s).
        Tensor s = x.mul(QUICK).sigmoid();
        yield dy.mul(s.add(x.mul(s).mul(s.neg().add(1)).mul(QUICK)));
      }
    };
  }
}

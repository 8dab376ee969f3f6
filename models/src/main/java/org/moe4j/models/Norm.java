package org.moe4j.models;

import org.moe4j.ParameterStore;
import org.moe4j.tensor.Tensor;

/** A normalisation over the last dimension with learned scale, computed in F32 inside. */
public sealed interface Norm permits RmsNorm, LayerNorm {
  /** {@code x [..., d]} normalised, in the type of {@code x}. */
  Tensor apply(Tensor x);

  /** The norm of the given kind over {@code d} features; its parameters start as the identity. */
  static Norm of(NormKind kind, ParameterStore store, String name, long d, double eps) {
    return switch (kind) {
      case RMS -> new RmsNorm(store, name, d, eps);
      case LAYER -> new LayerNorm(store, name, d, true, eps);
      case LAYER_WITHOUT_SHIFT -> new LayerNorm(store, name, d, false, eps);
    };
  }
}

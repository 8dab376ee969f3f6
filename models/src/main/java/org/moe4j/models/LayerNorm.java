package org.moe4j.models;

import org.moe4j.Init;
import org.moe4j.Parameter;
import org.moe4j.ParameterStore;
import org.moe4j.Role;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.Ops;
import org.moe4j.tensor.Tensor;

/** {@code w * (x - mean) / sqrt(variance + eps) + b}. */
public final class LayerNorm implements Norm {
  private final Parameter weight;
  private final Parameter bias;
  private final double eps;

  LayerNorm(ParameterStore store, String name, long d, double eps) {
    this.weight = store.create(name + ".weight", Role.NORM, Init.constant(1), d);
    this.bias = store.create(name + ".bias", Role.NORM, Init.zeros(), d);
    this.eps = eps;
  }

  @Override
  public Tensor apply(Tensor x) {
    DType wide = x.dtype() == DType.F64 ? DType.F64 : DType.F32;
    Tensor y = Ops.layerNorm(x.to(wide), weight.tensor().to(wide), bias.tensor().to(wide), eps);
    return y.to(x.dtype());
  }

  /** The scale [d]. */
  public Parameter weight() {
    return weight;
  }

  /** The shift [d]. */
  public Parameter bias() {
    return bias;
  }
}

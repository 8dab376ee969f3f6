package org.moe4j.models;

import java.util.Optional;
import org.jspecify.annotations.Nullable;
import org.moe4j.Init;
import org.moe4j.Parameter;
import org.moe4j.ParameterStore;
import org.moe4j.Role;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.Ops;
import org.moe4j.tensor.Tensor;

/** {@code w * (x - mean) / sqrt(variance + eps) (+ b)}. */
public final class LayerNorm implements Norm {
  private final Parameter weight;
  private final @Nullable Parameter bias;
  private final double eps;

  LayerNorm(ParameterStore store, String name, long d, boolean shift, double eps) {
    this.weight = store.create(name + ".weight", Role.NORM, Init.constant(1), d);
    this.bias = shift ? store.create(name + ".bias", Role.NORM, Init.zeros(), d) : null;
    this.eps = eps;
  }

  @Override
  public Tensor apply(Tensor x) {
    DType wide = x.dtype() == DType.F64 ? DType.F64 : DType.F32;
    Tensor shift = bias == null ? null : bias.tensor().to(wide);
    return Ops.layerNorm(x.to(wide), weight.tensor().to(wide), shift, eps).to(x.dtype());
  }

  /** The scale [d]. */
  public Parameter weight() {
    return weight;
  }

  /** The shift [d], if there is one. */
  public Optional<Parameter> bias() {
    return Optional.ofNullable(bias);
  }
}

package org.moe4j.models;

import java.util.Optional;
import org.jspecify.annotations.Nullable;
import org.moe4j.Init;
import org.moe4j.Parameter;
import org.moe4j.ParameterStore;
import org.moe4j.Role;
import org.moe4j.tensor.OwnGradient;
import org.moe4j.tensor.Tensor;

/**
 * A projection {@code y = x W^T (+ b)}, W [out, in]. The weight is cast to the type of its input
 * where it is used, so that an F32 master weight serves activations of any type.
 */
public final class Linear {
  private final Parameter weight;
  private final @Nullable Parameter bias;

  Linear(ParameterStore store, String name, long out, long in, boolean bias, double std) {
    this.weight = store.create(name + ".weight", Role.NON_EXPERT, Init.normal(std), out, in);
    this.bias = bias ? store.create(name + ".bias", Role.NON_EXPERT, Init.zeros(), out) : null;
  }

  /** {@code x [..., in]} to {@code [..., out]}. */
  public Tensor apply(Tensor x) {
    Tensor y = apply(x, weight.tensor());
    return bias == null ? y : y.add(bias.tensor().to(x.dtype()));
  }

  /** {@code x [..., in]} times the transpose of {@code weight [out, in]}, in the type of x. */
  static Tensor apply(Tensor x, Tensor weight) {
    return LinearKernel.apply(x, weight);
  }

  /** The pair of passes for {@code x [T, in]} on the CPU, without recording and bias. */
  OwnGradient.Result passes(Tensor x) {
    return LinearKernel.forward(x, weight.tensor());
  }

  /** W. */
  public Parameter weight() {
    return weight;
  }

  /** b [out], if there is one. */
  public Optional<Parameter> bias() {
    return Optional.ofNullable(bias);
  }
}

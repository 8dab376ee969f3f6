package org.moe4j.models;

import org.moe4j.Init;
import org.moe4j.Parameter;
import org.moe4j.ParameterStore;
import org.moe4j.Role;
import org.moe4j.tensor.OwnGradient;
import org.moe4j.tensor.Tensor;

/**
 * A projection {@code y = x W^T} without a bias, W [out, in]. The weight is cast to the type of its
 * input where it is used, so that an F32 master weight serves activations of any type.
 */
public final class Linear {
  private final Parameter weight;

  Linear(ParameterStore store, String name, long out, long in, double std) {
    this.weight = store.create(name + ".weight", Role.NON_EXPERT, Init.normal(std), out, in);
  }

  /** {@code x [..., in]} to {@code [..., out]}. */
  public Tensor apply(Tensor x) {
    return apply(x, weight.tensor());
  }

  /** {@code x [..., in]} times the transpose of {@code weight [out, in]}, in the type of x. */
  static Tensor apply(Tensor x, Tensor weight) {
    return LinearKernel.apply(x, weight);
  }

  /** The pair of passes for {@code x [T, in]} on the CPU, without recording. */
  OwnGradient.Result passes(Tensor x) {
    return LinearKernel.forward(x, weight.tensor());
  }

  /** W. */
  public Parameter weight() {
    return weight;
  }
}

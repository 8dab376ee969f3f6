package org.moe4j.models;

import org.moe4j.Init;
import org.moe4j.Parameter;
import org.moe4j.ParameterStore;
import org.moe4j.Role;
import org.moe4j.tensor.OwnGradient;
import org.moe4j.tensor.Tensor;

/**
 * {@code w * x / sqrt(mean(x^2) + eps)}, computed in F32 and rounded once to the type of x, as OLMo
 * 2 and gpt-oss do. (Llama and Mixtral round before the scale, too, which doubles the rounding.)
 */
public final class RmsNorm implements Norm {
  private final Parameter weight;
  private final double eps;

  RmsNorm(ParameterStore store, String name, long d, double eps) {
    this.weight = store.create(name + ".weight", Role.NORM, Init.constant(1), d);
    this.eps = eps;
  }

  @Override
  public Tensor apply(Tensor x) {
    return RmsNormKernel.apply(x, weight.tensor(), eps);
  }

  /** The pair of passes for {@code x [T,d]} on the CPU, without recording. */
  OwnGradient.Result passes(Tensor x) {
    return RmsNormKernel.forward(x, weight.tensor(), eps);
  }

  /** The scale [d]. */
  public Parameter weight() {
    return weight;
  }
}

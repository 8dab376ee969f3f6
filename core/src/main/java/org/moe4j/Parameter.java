package org.moe4j;

import org.moe4j.tensor.Tensor;

/**
 * A tensor with its name in the model and its role: trained, unless it is {@link Role.State}. Its
 * memory lives until {@link ParameterStore#close}.
 */
public final class Parameter {
  private final String name;
  private final Role role;
  private final Tensor tensor;

  Parameter(String name, Role role, Tensor tensor) {
    this.name = name;
    this.role = role;
    Tensor kept = tensor.keep();
    this.tensor = role instanceof Role.State ? kept : kept.requiresGrad(true);
  }

  /** The full dotted name, for instance {@code layers.3.moe.gate.weight}. */
  public String name() {
    return name;
  }

  /** What the parameter is for. */
  public Role role() {
    return role;
  }

  /** The values; a leaf of the gradient graph. */
  public Tensor tensor() {
    return tensor;
  }

  /** Stops training this parameter. */
  public void freeze() {
    tensor.requiresGrad(false);
    tensor.clearGrad();
  }

  /** True if gradients are not computed for it. */
  public boolean isFrozen() {
    return !tensor.requiresGrad();
  }

  /** True for matrices and stacks of them; vectors (norms, biases) are not decayed. */
  public boolean decays() {
    return tensor.dim() >= 2 && !(role instanceof Role.Norm);
  }

  @Override
  public String toString() {
    return name + " " + tensor;
  }
}

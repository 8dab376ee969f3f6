package org.moe4j;

import java.util.Arrays;
import java.util.List;
import org.jspecify.annotations.Nullable;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.Scope;
import org.moe4j.tensor.Tensor;

/**
 * A tensor with its name in the model and its role: trained, unless it is {@link Role.State}. Its
 * memory lives until {@link ParameterStore#close}.
 */
public final class Parameter {
  private final String name;
  private final Role role;
  private final Tensor tensor;
  private int[] slices = {};
  private @Nullable Tensor rowMemory;

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

  /**
   * Memory for a gradient of {@code n} of this parameter's rows ({@link Tensor#ofRows}): the same
   * at every call, so that a step does not pay for fresh pages. It is asked for when there is no
   * gradient; what was made of it before is then overwritten.
   */
  Tensor gradientRows(long n) {
    Tensor memory = rowMemory;
    if (memory == null || memory.size(0) < n) {
      if (memory != null) {
        memory.close();
      }
      long[] shape = tensor.shape();
      shape[0] = n + n / 8;
      try (Scope scope = Scope.open()) {
        memory = Tensor.empty(tensor.dtype(), tensor.device(), shape).keep();
      }
      rowMemory = memory;
    }
    return memory.narrow(0, 0, n);
  }

  /** Frees its memory. */
  void close() {
    tensor.close();
    if (rowMemory != null) {
      rowMemory.close();
      rowMemory = null;
    }
  }

  /** Stops training this parameter. */
  public void freeze() {
    tensor.requiresGrad(false);
    tensor.clearGrad();
  }

  /**
   * Trains some experts alone: of the stacked weights only these slices of dimension 0 are updated,
   * the others keep every bit (S14's added experts).
   *
   * @throws MoeException if these are not the stacked weights of so many experts
   */
  public void trainOnly(int... experts) {
    if (!(role instanceof Role.RoutedExperts stacked)) {
      throw new MoeException(name + " is not divided into experts; freeze it or train it whole");
    }
    for (int e : experts) {
      if (e < 0 || e >= stacked.experts()) {
        throw new MoeException(
            name + " has no expert " + e + "; it has 0 to " + (stacked.experts() - 1));
      }
    }
    tensor.requiresGrad(experts.length > 0);
    tensor.clearGrad();
    slices = Arrays.stream(experts).distinct().sorted().toArray();
  }

  /** The parts that are trained of {@code whole}, which is shaped like this parameter: views. */
  public List<Tensor> trained(Tensor whole) {
    return slices.length == 0
        ? List.of(whole)
        : Arrays.stream(slices).mapToObj(j -> whole.select(0, j)).toList();
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

package org.moe4j.models.gguf;

import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.function.UnaryOperator;
import org.moe4j.Parameter;
import org.moe4j.models.LayerNorm;
import org.moe4j.models.Linear;
import org.moe4j.models.Norm;
import org.moe4j.models.RmsNorm;
import org.moe4j.models.hf.WeightMap;
import org.moe4j.tensor.Tensor;

/**
 * The tensors of a file: parts of a decoder's parameters, and numbers that come from its
 * configuration.
 */
final class TensorTable {
  private final WeightMap weights = new WeightMap();
  private final Map<String, float[]> constants = new LinkedHashMap<>();
  private final Map<String, UnaryOperator<Tensor>> changes = new HashMap<>();

  /** What comes from parameters; shapes have the fastest-running dimension last. */
  WeightMap weights() {
    return weights;
  }

  /** Vectors that are no parameters, by name. */
  Map<String, float[]> constants() {
    return constants;
  }

  /** What is done to the numbers of the tensor {@code name} before they are stored. */
  UnaryOperator<Tensor> change(String name) {
    return changes.getOrDefault(name, UnaryOperator.identity());
  }

  /**
   * Stores a tensor's numbers changed.
   *
   * @param by sees F32 matrices (one of a stack at a time, or several) or vectors
   */
  void change(String name, UnaryOperator<Tensor> by) {
    changes.put(name, by);
  }

  void whole(String name, Parameter parameter) {
    weights.whole(name, parameter);
  }

  void part(String name, Parameter parameter, UnaryOperator<Tensor> view) {
    weights.part(name, parameter, view);
  }

  /** The whole parameter in its own shape, its elements in another order. */
  void turned(String name, Parameter parameter, UnaryOperator<Tensor> order) {
    weights.tensor(name, parameter.tensor().shape()).all(parameter, order);
  }

  void constant(String name, float[] values) {
    constants.put(name, values);
  }

  /** {@code at.weight} and {@code at.bias}, if it has one. */
  void norm(String at, Norm norm) {
    switch (norm) {
      case RmsNorm n -> whole(at + ".weight", n.weight());
      case LayerNorm n -> {
        whole(at + ".weight", n.weight());
        n.bias().ifPresent(b -> whole(at + ".bias", b));
      }
    }
  }

  /** {@code at.weight} and {@code at.bias}, if it has one. */
  void linear(String at, Linear linear) {
    whole(at + ".weight", linear.weight());
    linear.bias().ifPresent(b -> whole(at + ".bias", b));
  }

  /** Gate and up projection out of one parameter [2h,d] or [E,2h,d], or its biases. */
  void halves(String gate, String up, Parameter both, int dim) {
    long h = both.tensor().size(dim) / 2;
    part(gate, both, w -> w.narrow(dim, 0, h));
    part(up, both, w -> w.narrow(dim, h, h));
  }
}

package org.moe4j.models.hf;

import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.UnaryOperator;
import java.util.stream.LongStream;
import org.moe4j.Parameter;
import org.moe4j.tensor.Scope;
import org.moe4j.tensor.Tensor;

/**
 * Which tensor on disk is which part of which parameter: a whole one, or a slice such as one
 * expert's gate projection of the stacked {@code w_in}.
 */
public final class WeightMap {
  /**
   * One tensor on disk.
   *
   * @param name on disk
   * @param parameter it belongs to
   * @param view picks its part of the parameter's tensor, without a copy
   */
  public record Part(String name, Parameter parameter, UnaryOperator<Tensor> view) {
    /** The part of the parameter's memory that this tensor fills. */
    Tensor tensor() {
      return view.apply(parameter.tensor().detach());
    }

    /** The sizes of that part. */
    List<Long> shape() {
      try (Scope scope = Scope.open()) {
        return LongStream.of(tensor().shape()).boxed().toList();
      }
    }
  }

  private final Map<String, Part> parts = new LinkedHashMap<>();

  /** The disk tensor {@code name} is the whole parameter. */
  void whole(String name, Parameter parameter) {
    part(name, parameter, UnaryOperator.identity());
  }

  /** The disk tensor {@code name} is a part of the parameter. */
  void part(String name, Parameter parameter, UnaryOperator<Tensor> view) {
    if (parts.put(name, new Part(name, parameter, view)) != null) {
      throw new IllegalStateException("the disk name " + name + " is used twice");
    }
  }

  /** All parts by their names on disk. */
  public Map<String, Part> parts() {
    return Collections.unmodifiableMap(parts);
  }

  /** The parts in order. */
  List<Part> list() {
    return new ArrayList<>(parts.values());
  }
}

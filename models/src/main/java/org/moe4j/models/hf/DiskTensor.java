package org.moe4j.models.hf;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.function.UnaryOperator;
import java.util.stream.LongStream;
import org.moe4j.Parameter;
import org.moe4j.tensor.Scope;
import org.moe4j.tensor.Tensor;

/**
 * A tensor on disk and what it means to a model: its rows, one run after another, are parts of
 * parameters. Most are one part; projections that lie in one matrix, as queries, keys and values
 * may do, are several.
 */
public final class DiskTensor {
  /**
   * A run of a disk tensor's elements, which are counted in row-major order.
   *
   * @param parameter it belongs to
   * @param view of the parameter's tensor, without a copy: its elements in row-major order are
   *     those of the run, whatever its shape and strides are
   * @param from the number of the first element
   * @param count how many they are
   */
  public record Part(Parameter parameter, UnaryOperator<Tensor> view, long from, long count) {
    /** The part of the parameter's memory that the run fills. */
    Tensor tensor() {
      return view.apply(parameter.tensor().detach());
    }
  }

  private final String name;
  private final List<Long> shape;
  private final long perRow;
  private final List<Part> parts = new ArrayList<>();
  private long covered;

  DiskTensor(String name, long... shape) {
    this.name = name;
    this.shape = LongStream.of(shape).boxed().toList();
    this.perRow = Arrays.stream(shape).skip(1).reduce(1, Math::multiplyExact);
  }

  /** The next {@code n} rows (indices of dimension 0) are this view of the parameter. */
  public DiskTensor rows(long n, Parameter parameter, UnaryOperator<Tensor> view) {
    Part part = new Part(parameter, view, covered, Math.multiplyExact(n, perRow));
    try (Scope scope = Scope.open()) {
      Tensor target = part.tensor();
      if (target.numel() != part.count()) {
        throw new IllegalStateException(
            name + ": " + n + " rows of " + shape + " are no " + target + " of " + parameter);
      }
    }
    parts.add(part);
    covered += part.count();
    return this;
  }

  /** The next {@code n} rows are the whole parameter. */
  public DiskTensor rows(long n, Parameter parameter) {
    return rows(n, parameter, UnaryOperator.identity());
  }

  /** All rows are this view of the parameter. */
  public DiskTensor all(Parameter parameter, UnaryOperator<Tensor> view) {
    if (shape.isEmpty()) {
      return rows(1, parameter, view);
    }
    return rows(shape.getFirst(), parameter, view);
  }

  /** The name on disk. */
  public String name() {
    return name;
  }

  /** The sizes that it must have on disk. */
  public List<Long> shape() {
    return shape;
  }

  /** The number of elements. */
  public long elements() {
    return shape.stream().reduce(1L, Math::multiplyExact);
  }

  /** Its parts, in the order of their rows. */
  public List<Part> parts() {
    return Collections.unmodifiableList(parts);
  }

  /** Its values out of the parameters, in its shape; a copy where its parts do not lie so. */
  Tensor tensor() {
    long[] sizes = shape.stream().mapToLong(Long::longValue).toArray();
    if (parts.size() == 1) {
      Tensor only = parts.getFirst().tensor();
      return Arrays.equals(only.shape(), sizes) ? only : only.reshape(sizes);
    }
    List<Tensor> runs = parts.stream().map(p -> p.tensor().reshape(p.count())).toList();
    return Tensor.cat(runs, 0).view(sizes);
  }

  void requireWhole() {
    if (covered != elements()) {
      throw new IllegalStateException(
          name + " " + shape + ": parts for " + covered + " of " + elements() + " elements");
    }
  }
}

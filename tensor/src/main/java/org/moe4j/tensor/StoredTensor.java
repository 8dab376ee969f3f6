package org.moe4j.tensor;

import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;

/** A tensor in a file: its name, element type and sizes, without its values. */
public record StoredTensor(String name, DType dtype, List<Long> shape) {
  /** A description with its own copy of the sizes. */
  public StoredTensor {
    shape = List.copyOf(shape);
  }

  /** The number of elements. */
  public long elements() {
    return shape.stream().reduce(1L, Math::multiplyExact);
  }

  /** The number of bytes of the values. */
  public long bytes() {
    return Math.multiplyExact(elements(), (long) dtype.bytes());
  }

  /** The sizes as libtorch takes them. */
  public long[] sizes() {
    return shape.stream().mapToLong(Long::longValue).toArray();
  }

  void requireShapeOf(Tensor target, Path file) {
    if (!Arrays.equals(sizes(), target.shape())) {
      throw new MoeException(
          file
              + ": tensor "
              + Names.shown(name)
              + " has shape "
              + shape
              + ", expected "
              + Arrays.toString(target.shape()));
    }
  }

  @Override
  public String toString() {
    return Names.shown(name) + " " + dtype.label() + shape;
  }
}

package org.moe4j.tensor;

import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.Set;

/** Tensors in files, read one at a time by name. */
public interface StoredTensors extends AutoCloseable {
  /** The file or folder that was opened. */
  Path path();

  /** The names of all tensors. */
  Set<String> names();

  /**
   * Type and shape of a tensor.
   *
   * @throws MoeException if there is none of this name
   */
  StoredTensor describe(String name);

  /** True if the file holds the tensor's values in row-major order. */
  default boolean isContiguous(String name) {
    return true;
  }

  /** Reads a tensor, in the type it is stored in, into new memory on the CPU. */
  default Tensor load(String name) {
    StoredTensor stored = describe(name);
    Tensor loaded = Tensor.empty(stored.dtype(), Device.CPU, stored.sizes());
    loadInto(name, loaded);
    return loaded;
  }

  /**
   * Reads a tensor into existing memory, converting its type; the shapes must agree. A contiguous
   * CPU target of the stored type is filled without a copy in between.
   *
   * @throws MoeException if the stored shape is another
   */
  default void loadInto(String name, Tensor target) {
    describe(name).requireShapeOf(target, path());
    loadInto(name, 0, target);
  }

  /**
   * Reads the elements from {@code from} on, counted in row-major order, as many as {@code target}
   * has: into its elements in its own row-major order, whatever its shape, strides, type and device
   * are. Where it is contiguous, on the CPU and of the stored type they go straight into its
   * memory, else by way of a buffer of about a megabyte.
   *
   * @throws MoeException if the file cannot be read
   */
  void loadInto(String name, long from, Tensor target);

  /**
   * The little-endian bytes of a tensor's values, row-major, in the mapped file: read-only, nothing
   * is copied. The segment ends with {@link #close}; a use after that is an IllegalStateException.
   *
   * @throws MoeException if the file holds the values in another order
   */
  MemorySegment segment(String name);

  /** The bytes of all tensors' values. */
  default long bytes() {
    return names().stream().mapToLong(name -> describe(name).bytes()).sum();
  }

  @Override
  void close();
}

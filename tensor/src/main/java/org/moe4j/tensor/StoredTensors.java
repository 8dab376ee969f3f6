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
  void loadInto(String name, Tensor target);

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

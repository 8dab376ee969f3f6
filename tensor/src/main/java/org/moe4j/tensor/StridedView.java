package org.moe4j.tensor;

import java.util.List;

/**
 * Where a tensor's values lie in a file: element {@code (i, j, ..)} at byte {@code start + width (i
 * strides[0] + j strides[1] + ..)}.
 *
 * @param strides in elements, none negative
 */
record StridedView(StoredTensor tensor, long start, List<Long> strides) {
  /** As many as libtorch's element-wise loops take. */
  private static final int MOST_DIMENSIONS = 64;

  /** True if the values lie side by side in row-major order. */
  boolean isContiguous() {
    long expected = 1;
    for (int d = strides.size() - 1; d >= 0 && tensor.elements() > 0; d--) {
      long size = tensor.shape().get(d);
      if (size > 1 && strides.get(d) != expected) {
        return false;
      }
      expected *= size;
    }
    return true;
  }

  /**
   * Checks that a view lies in its storage of {@code available} elements.
   *
   * @param what the tensor, for messages
   * @throws MoeException if it does not, or is larger than its storage
   */
  static void check(
      String what, DType dtype, long offset, List<Long> shape, List<Long> strides, long available) {
    if (shape.size() > MOST_DIMENSIONS || shape.size() != strides.size()) {
      throw new MoeException(
          what + " has " + shape.size() + " sizes and " + strides.size() + " strides");
    }
    if (offset < 0
        || shape.stream().anyMatch(n -> n < 0)
        || strides.stream().anyMatch(n -> n < 0)) {
      throw new MoeException(
          what + " has a negative offset, size or stride: " + shape + ", " + strides);
    }
    try {
      // A zero must not hide an overflow of the others: libtorch multiplies those for strides.
      long padded = dtype.bytes();
      long elements = 1;
      long end = Math.addExact(offset, 1);
      for (int d = 0; d < shape.size(); d++) {
        long size = shape.get(d);
        padded = Math.multiplyExact(padded, Math.max(size, 1));
        elements *= size;
        end = Math.addExact(end, Math.multiplyExact(Math.max(size - 1, 0), strides.get(d)));
      }
      if (elements > 0 && end > available) {
        throw new MoeException(
            what + " needs " + end + " elements of its storage, which has " + available);
      }
      if (elements > available) {
        throw new MoeException(
            what
                + " repeats the values of its storage: "
                + shape
                + " over "
                + available
                + " elements; save a contiguous copy of it");
      }
    } catch (ArithmeticException e) {
      throw new MoeException(
          what + ": the product of its shape " + shape + " or strides " + strides + " overflows",
          e);
    }
  }
}

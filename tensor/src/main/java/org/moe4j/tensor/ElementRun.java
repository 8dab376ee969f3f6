package org.moe4j.tensor;

import java.lang.foreign.MemorySegment;

/**
 * Reading elements that lie one behind the other in a file into a tensor of any type, shape,
 * strides and device, in its row-major order.
 */
final class ElementRun {
  /** What a buffer holds where the elements cannot go straight to their place. */
  private static final long PIECE_BYTES = 1 << 20;

  /** The same where every piece costs a call to another device. */
  private static final long DEVICE_PIECE_BYTES = 1 << 25;

  private ElementRun() {}

  /** Fills memory with the bytes from the {@code at}-th on. */
  @FunctionalInterface
  interface Bytes {
    /** Reads as many bytes as {@code into} has. */
    void read(long at, MemorySegment into);
  }

  /**
   * Reads elements.
   *
   * @param stored their type in the file
   * @param from the number of the first one
   * @param bytes reads the file
   */
  static void read(DType stored, long from, Tensor target, Bytes bytes) {
    try (Scope scope = Scope.open();
        NoGrad off = NoGrad.open()) {
      fill(stored, from, target, bytes);
    }
  }

  private static void fill(DType stored, long from, Tensor target, Bytes bytes) {
    long n = target.numel();
    long width = stored.bytes();
    boolean onCpu = target.device() == Device.CPU;
    if (n == 0 || target.device() == Device.META) {
      return;
    }
    if (onCpu && target.dtype() == stored && target.isContiguous()) {
      bytes.read(from * width, target.segment());
      return;
    }
    long most = (onCpu ? PIECE_BYTES : DEVICE_PIECE_BYTES) / width;
    if (n <= most) {
      Tensor staged = Tensor.empty(stored, Device.CPU, target.shape());
      bytes.read(from * width, staged.segment());
      target.copyInPlace(staged);
      return;
    }
    long rows = target.size(0);
    long row = n / rows;
    long block = Math.max(1, most / row);
    for (long r = 0; r < rows; r += block) {
      try (Scope scope = Scope.open()) {
        Tensor part =
            block == 1 ? target.select(0, r) : target.narrow(0, r, Math.min(block, rows - r));
        fill(stored, from + r * row, part, bytes);
      }
    }
  }
}

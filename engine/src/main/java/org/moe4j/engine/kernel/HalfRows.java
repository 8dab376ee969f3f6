package org.moe4j.engine.kernel;

import java.lang.foreign.MemorySegment;
import java.util.Objects;
import java.util.Optional;
import org.moe4j.engine.machine.MachineKernels;

/**
 * Weighted sums of rows of half-precision numbers: scores, with a row for each dimension and
 * queries as weights, as well as what attention makes of values, with a row for each position. By
 * machine code where that is used; all ways give the same bits.
 */
final class HalfRows {
  private static final Optional<MachineKernels> MACHINE = MachineChoice.wanted();

  private HalfRows() {}

  /**
   * Adds rows {@code from} to {@code to - 1} to sums: sum = fma(number, weight, sum), in order.
   *
   * @param first address of row 0
   * @param width numbers from a row to the next
   * @param columns numbers to take of each row, a multiple of 32
   * @param w weight of row 0 at {@code wAt}, of row 0 in the next sums {@code wStride} further
   * @param weights how many rows of weights, and of sums
   * @param out sums from {@code outAt} on, the next ones {@code outStride} further
   * @param next address of what will be read next, brought near meanwhile
   */
  static void add(
      MemorySegment page,
      long first,
      int width,
      int columns,
      float[] w,
      int wAt,
      int wStride,
      int weights,
      int from,
      int to,
      float[] out,
      int outAt,
      int outStride,
      long next) {
    if (MACHINE.isPresent()) {
      add(
          MACHINE.get(),
          page,
          first,
          width,
          columns,
          w,
          wAt,
          wStride,
          weights,
          from,
          to,
          out,
          outAt,
          outStride,
          next);
    } else {
      KernelChoice.ATTENTION.addHalves(
          page, first, width, columns, w, wAt, wStride, weights, from, to, out, outAt, outStride);
    }
  }

  /** The same by machine code. */
  static void add(
      MachineKernels machine,
      MemorySegment page,
      long first,
      int width,
      int columns,
      float[] w,
      int wAt,
      int wStride,
      int weights,
      int from,
      int to,
      float[] out,
      int outAt,
      int outStride,
      long next) {
    if (from >= to || weights == 0) {
      return;
    }
    long rowBytes = 2L * width;
    Objects.checkIndex(columns - 1, width);
    Objects.checkFromToIndex(first + from * rowBytes, first + to * rowBytes, page.byteSize());
    Objects.checkFromToIndex(wAt + from, wAt + (weights - 1) * wStride + to, w.length);
    Objects.checkFromIndexSize(outAt, (weights - 1) * outStride + columns, out.length);
    MemorySegment allWeights = MemorySegment.ofArray(w);
    MemorySegment sums = MemorySegment.ofArray(out);
    for (int r = 0; r < weights; r += MachineKernels.MOST_WEIGHTS) {
      machine.addHalves(
          page.address() + first + from * rowBytes,
          to - from,
          rowBytes,
          columns,
          allWeights.asSlice(4L * (wAt + r * wStride + from)),
          wStride,
          Math.min(MachineKernels.MOST_WEIGHTS, weights - r),
          sums.asSlice(4L * (outAt + r * outStride)),
          outStride,
          next - page.address() - first);
    }
  }
}

package org.moe4j;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.Device;
import org.moe4j.tensor.NoGrad;
import org.moe4j.tensor.Tensor;

/**
 * The k best of every row, the lower index first among equals. libtorch's topk leaves the order of
 * equal values open, so a CPU tensor is scanned here (one pass, k places kept sorted) and a tensor
 * elsewhere is sorted stably; both give the same answer.
 */
public final class Selection {
  private Selection() {}

  /**
   * Column indices of the {@code k} largest values of each row, in descending order of value.
   *
   * @param scores [T,E] floating point, no NaN, k at most E
   * @return [T,k] I64 without gradient
   */
  public static Tensor top(Tensor scores, int k) {
    try (NoGrad off = NoGrad.open()) {
      return scores.device() == Device.CPU ? scan(scores, k) : sorted(scores, k);
    }
  }

  static Tensor sorted(Tensor scores, int k) {
    return scores.detach().sort(-1, true).indices().narrow(-1, 0, k).contiguous();
  }

  private static Tensor scan(Tensor scores, int k) {
    int rows = Math.toIntExact(scores.size(0));
    int columns = Math.toIntExact(scores.size(1));
    DType type = scores.dtype() == DType.F64 ? DType.F64 : DType.F32;
    Tensor plain = scores.detach().to(type).contiguous();
    long[] chosen = new long[rows * k];
    if (rows > 0) {
      MemorySegment memory = plain.segment();
      double[] best = new double[k];
      for (int row = 0; row < rows; row++) {
        scanRow(memory, type == DType.F64, (long) row * columns, columns, best, chosen, row * k);
      }
    }
    return Tensor.of(chosen, rows, k);
  }

  private static void scanRow(
      MemorySegment memory,
      boolean wide,
      long start,
      int columns,
      double[] best,
      long[] chosen,
      int at) {
    int k = best.length;
    int filled = 0;
    for (int e = 0; e < columns; e++) {
      double value =
          wide
              ? memory.getAtIndex(ValueLayout.JAVA_DOUBLE, start + e)
              : memory.getAtIndex(ValueLayout.JAVA_FLOAT, start + e);
      if (filled == k && !(value > best[k - 1])) {
        continue;
      }
      int place = filled < k ? filled++ : k - 1;
      while (place > 0 && value > best[place - 1]) {
        best[place] = best[place - 1];
        chosen[at + place] = chosen[at + place - 1];
        place--;
      }
      best[place] = value;
      chosen[at + place] = e;
    }
  }
}

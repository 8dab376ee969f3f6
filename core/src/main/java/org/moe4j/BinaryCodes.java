package org.moe4j;

import java.util.List;
import org.moe4j.tensor.Tensor;

/** The binary codes by which DSelect-k (S11) names experts, most significant digit first. */
final class BinaryCodes {
  private BinaryCodes() {}

  /** m, the digits that {@code n} experts need: 0 for one expert. */
  static int digits(int n) {
    return 32 - Integer.numberOfLeadingZeros(n - 1);
  }

  /**
   * The probability of each code if digit j is 1 with probability {@code ones[..., j]}: the product
   * over digits, built digit by digit.
   *
   * @param ones [R,k,m]
   * @return [R,k,2^m]; rows sum to 1
   */
  static Tensor products(Tensor ones) {
    long rows = ones.size(0);
    long selectors = ones.size(1);
    Tensor zeros = ones.neg().add(1);
    Tensor r = Tensor.ones(rows, selectors, 1).to(ones.dtype()).to(ones.device());
    for (int j = 0; j < ones.size(2); j++) {
      Tensor digit = Tensor.cat(List.of(zeros.narrow(2, j, 1), ones.narrow(2, j, 1)), 2);
      r = r.unsqueeze(-1).mul(digit.unsqueeze(2)).reshape(rows, selectors, 2L << j);
    }
    return r;
  }
}

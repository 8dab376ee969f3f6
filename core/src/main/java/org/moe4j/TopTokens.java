package org.moe4j;

import java.util.Arrays;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.Tensor;

/** The best tokens of every expert, the earlier one among equals: expert choice (S19, S53). */
final class TopTokens {
  private TopTokens() {}

  /**
   * Lets each expert choose in each of G equal runs of tokens.
   *
   * @param selection [T,E] what to choose by; minus infinity where an expert may not choose
   * @param weights [T,E] combine weights with gradient
   * @param counts [G][E] tokens for each expert, at most those that it may choose
   */
  static ExpertChoice choose(
      Tensor selection, Tensor weights, int[][] counts, Gating gating, Evidence evidence) {
    int groups = counts.length;
    int experts = (int) weights.size(1);
    int most = Arrays.stream(counts).flatMapToInt(Arrays::stream).max().orElse(0);
    if (most == 0) {
      return new ExpertChoice(
          Tensor.of(new long[0], experts, 0).to(weights.device()),
          weights.t().narrow(1, 0, 0),
          gating,
          evidence);
    }
    long size = selection.size(0) / groups;
    Tensor byExpert = selection.detach().reshape(groups, size, experts).transpose(1, 2);
    long[] starts = new long[groups];
    byte[] empty = new byte[groups * experts * most];
    for (int g = 0; g < groups; g++) {
      starts[g] = g * size;
      for (int e = 0; e < experts; e++) {
        int row = (g * experts + e) * most;
        Arrays.fill(empty, row + counts[g][e], row + most, (byte) 1);
      }
    }
    Tensor unused = Tensor.of(empty, groups, experts, most).to(DType.BOOL).to(weights.device());
    Tensor tokens =
        Selection.sorted(byExpert, most)
            .add(Tensor.of(starts, groups, 1, 1).to(weights.device()))
            .maskedFill(unused, -1)
            .transpose(0, 1)
            .reshape(experts, (long) groups * most);
    Tensor chosen = weights.t().gather(1, tokens.maskedFill(tokens.lt(0), 0));
    return new ExpertChoice(tokens, chosen, gating, evidence);
  }
}

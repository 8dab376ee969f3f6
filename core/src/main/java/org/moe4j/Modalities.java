package org.moe4j;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.Tensor;

/** The real tokens of a pass by modality, as S20's losses read them. */
final class Modalities {
  private Modalities() {}

  /**
   * For each modality that has tokens, in order of first appearance, 1/n for its n tokens and 0 for
   * others: [M,T] of the type of {@code like}.
   *
   * @param only this modality alone, or -1 for all; tokens without one (-1) belong to none
   * @throws MoeException if the context has no domains
   */
  static Tensor shares(int only, TokenContext context, Tensor like, String loss) {
    Tensor domains =
        context
            .domains()
            .orElseThrow(
                () ->
                    new MoeException(
                        "balance loss \""
                            + loss
                            + "\" needs the modality of each token; give the token context"
                            + " withDomains(...), or remove the loss"));
    long[] tags = domains.toLongs();
    byte[] real = context.padding().map(Tensor::toBytes).orElseGet(() -> ones(tags.length));
    Map<Long, List<Integer>> members = new LinkedHashMap<>();
    for (int t = 0; t < tags.length; t++) {
      if (real[t] != 0 && tags[t] >= 0 && (only < 0 || tags[t] == only)) {
        members.computeIfAbsent(tags[t], m -> new ArrayList<>()).add(t);
      }
    }
    double[] shares = new double[Math.multiplyExact(members.size(), tags.length)];
    int row = 0;
    for (List<Integer> tokens : members.values()) {
      int start = row++ * tags.length;
      tokens.forEach(t -> shares[start + t] = 1.0 / tokens.size());
    }
    return Tensor.of(shares, members.size(), tags.length).to(like.dtype()).to(like.device());
  }

  private static byte[] ones(int n) {
    byte[] all = new byte[n];
    Arrays.fill(all, (byte) 1);
    return all;
  }

  /** -sum p ln p along the last dimension, with 0 ln 0 = 0 and finite gradients. */
  static Tensor entropy(Tensor p) {
    double least = p.dtype() == DType.F64 ? Double.MIN_NORMAL : Float.MIN_NORMAL;
    return p.mul(p.clampMin(least).log()).sum(-1, false).neg();
  }
}

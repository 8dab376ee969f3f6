package org.moe4j;

import java.util.Arrays;
import java.util.Optional;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.Tensor;

/** What balance losses read from a token-choice routing. */
final class TokenChoices {
  private TokenChoices() {}

  /** The routing as token choice, or a refusal that names the loss. */
  static TokenChoice require(Routing routing, String loss) {
    if (routing instanceof TokenChoice choice) {
      return choice;
    }
    throw new MoeException(
        "balance loss \""
            + loss
            + "\" needs a router whose tokens choose experts, not a "
            + routing.getClass().getSimpleName()
            + " routing; set its coefficient to 0");
  }

  /** Evidence a loss cannot do without. */
  static Tensor require(Optional<Tensor> evidence, String what, String loss) {
    return evidence.orElseThrow(
        () ->
            new MoeException(
                "balance loss \""
                    + loss
                    + "\" needs "
                    + what
                    + ", which this router does not have; set its coefficient to 0"));
  }

  /** [T,c] expert numbers of the counted choices; E where there is none. */
  static Tensor counted(TokenChoice r, Balance.Counted which) {
    Tensor all = which == Balance.Counted.KEPT ? r.experts() : r.asked();
    Tensor some = which == Balance.Counted.FIRST ? all.narrow(1, 0, 1) : all;
    return some.maskedFill(some.lt(0), r.expertCount());
  }

  /** How often each expert occurs in each of {@code groups} equal runs of rows: [G,E] of type. */
  static Tensor histogram(Tensor ids, int experts, int groups, DType type) {
    long[] offsets = new long[groups];
    Arrays.setAll(offsets, g -> g * (experts + 1L));
    Tensor base = Tensor.of(offsets, groups, 1).to(ids.device());
    Tensor flat = ids.reshape(groups, ids.numel() / groups).add(base).reshape(ids.numel());
    return flat.bincount(groups * (experts + 1L))
        .view(groups, experts + 1L)
        .narrow(1, 0, experts)
        .to(type);
  }

  /** Rows of {@code values} [T,n] with those of padding tokens set to 0. */
  static Tensor onlyReal(Tensor values, TokenContext context) {
    return context
        .padding()
        .map(real -> values.mul(real.unsqueeze(1).to(values.dtype())))
        .orElse(values);
  }

  /** Real tokens of each group, at least 1: [G,1]. */
  static Tensor realTokens(TokenContext context, int groups, Tensor like) {
    long size = context.tokens() / groups;
    return context
        .padding()
        .map(real -> real.view(groups, size).to(like.dtype()).sum(1, true).clampMin(1))
        .orElseGet(() -> Tensor.full((double) size, like.dtype(), like.device(), groups, 1));
  }

  /** A zero of the type and device of {@code like}. */
  static Tensor zero(Tensor like) {
    return Tensor.zeros(like.dtype(), like.device());
  }
}

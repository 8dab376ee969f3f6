package org.moe4j.models;

import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;
import org.moe4j.tensor.OwnGradient;
import org.moe4j.tensor.Tensor;

/**
 * The attention half of a pre-norm block, {@code y = x + attention(norm(x))}, as one function with
 * its own gradient for the CPU: the parts' own passes one after the other, and back in reverse. For
 * libtorch's graph it is a single node, so nothing between the parts is kept twice, filled or added
 * that need not be.
 */
final class AttentionHalf {
  private final List<Tensor> saved = new ArrayList<>();

  private AttentionHalf() {}

  /** {@code x [B,S,d]}, whole sequences from position 0. */
  static Tensor apply(Tensor x, RmsNorm norm, GroupedQueryAttention attention) {
    boolean leaves = attention.trains() || norm.weight().tensor().requiresGrad();
    return OwnGradient.apply(in -> new AttentionHalf().forward(in[0], norm, attention), leaves, x)
        .view(x.shape());
  }

  private OwnGradient.Result forward(Tensor x, RmsNorm norm, GroupedQueryAttention attention) {
    long[] shape = x.shape();
    Tensor flat = x.reshape(-1, x.size(-1));
    OwnGradient.Result normed = kept(norm.passes(flat));
    OwnGradient.Result q = kept(attention.q().passes(normed.output()));
    OwnGradient.Result k = kept(attention.k().passes(normed.output()));
    OwnGradient.Result v = kept(attention.v().passes(normed.output()));
    OwnGradient.Result qNormed = attention.qNorm().map(n -> kept(n.passes(q.output()))).orElse(q);
    OwnGradient.Result kNormed = attention.kNorm().map(n -> kept(n.passes(k.output()))).orElse(k);
    OwnGradient.Result mixed =
        kept(
            attention.mix(
                rows(qNormed.output(), shape),
                rows(kNormed.output(), shape),
                rows(v.output(), shape)));
    Tensor heads = mixed.output().view(flat.size(0), -1);
    OwnGradient.Result out = kept(attention.o().passes(heads));
    Tensor y = out.output().addInPlace(flat);
    return new OwnGradient.Result(
        y,
        (gradient, needed) -> {
          Tensor dy = gradient.reshape(-1, gradient.size(-1)).contiguous();
          Tensor[] dMixed = back(mixed, rows(back(out, dy)[0], shape));
          Tensor dq = back(q, through(qNormed, q, flat(dMixed[0])))[0];
          Tensor dk = back(k, through(kNormed, k, flat(dMixed[1])))[0];
          Tensor dv = back(v, flat(dMixed[2]))[0];
          Tensor dx = back(normed, dq.addInPlace(dk).addInPlace(dv))[0].addInPlace(dy);
          return new @Nullable Tensor[] {needed[0] ? dx.view(shape) : null};
        },
        saved);
  }

  private OwnGradient.Result kept(OwnGradient.Result part) {
    saved.addAll(part.saved());
    return part;
  }

  private static Tensor rows(Tensor flat, long[] shape) {
    return flat.view(shape[0], shape[1], flat.size(-1));
  }

  private static Tensor flat(Tensor x) {
    return x.view(-1, x.size(-1));
  }

  /** Back through a norm, if there is one behind the projection. */
  @SuppressWarnings("ReferenceEquality") // the projection itself where there is no norm
  private static Tensor through(
      OwnGradient.Result norm, OwnGradient.Result projection, Tensor gradient) {
    return norm == projection ? gradient : back(norm, gradient)[0];
  }

  private static Tensor[] back(OwnGradient.Result part, Tensor gradient) {
    @Nullable Tensor[] all = part.backward().apply(gradient, new boolean[] {true, true, true});
    Tensor[] some = new Tensor[all.length];
    for (int i = 0; i < all.length; i++) {
      some[i] = java.util.Objects.requireNonNull(all[i]);
    }
    return some;
  }
}

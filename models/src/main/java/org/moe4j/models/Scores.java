package org.moe4j.models;

import java.util.ArrayList;
import java.util.List;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.Ops;
import org.moe4j.tensor.Tensor;

/** Softmax attention over what a {@link Span} lets each query see. */
final class Scores {
  /** Queries whose scores are held at once where no fused kernel computes them. */
  private static final int QUERIES = 256;

  private Scores() {}

  /**
   * {@code q [B,H,S,D]}, {@code k [B,K,N,D]}, {@code v [B,K,N,V]} to [B,H,S,V].
   *
   * @param window keys that a query sees, its own among them; 0 for all
   */
  static Tensor attend(Tensor q, Tensor k, Tensor v, Span span, int window, double scale) {
    if (span.start() == 0 && span.causal(window)) {
      return Ops.attention(q, k, v, null, true, scale);
    }
    Tensor mask = span.visible(window, q.device()).orElse(null);
    return Ops.attention(q, k, v, mask, false, scale);
  }

  /** The same where {@code exp(sinks[h])} joins the denominator of head h. */
  static Tensor attend(
      Tensor q, Tensor k, Tensor v, Span span, int window, double scale, Tensor sinks) {
    long batch = q.size(0);
    long heads = q.size(1);
    long kvHeads = k.size(1);
    long group = heads / kvHeads;
    DType wide = q.dtype() == DType.F64 ? DType.F64 : DType.F32;
    Tensor keys = k.unsqueeze(2).transpose(-1, -2);
    Tensor values = v.unsqueeze(2);
    List<Tensor> done = new ArrayList<>();
    for (long from = 0; from < q.size(2); from += QUERIES) {
      long n = Math.min(QUERIES, q.size(2) - from);
      Tensor some = q.narrow(2, from, n).reshape(batch, kvHeads, group, n, q.size(3));
      Tensor scores = some.matmul(keys).to(wide).mul(scale);
      Tensor mask = span.visible(window, q.device()).orElse(null);
      if (mask != null) {
        Tensor hidden = mask.narrow(2, from, n).unsqueeze(1).not();
        scores = scores.maskedFill(hidden, Double.NEGATIVE_INFINITY);
      }
      Tensor sink =
          sinks.to(wide).view(1, kvHeads, group, 1, 1).expand(batch, kvHeads, group, n, 1);
      Tensor p = Tensor.cat(List.of(scores, sink), -1).softmax(-1).narrow(-1, 0, k.size(2));
      Tensor y = p.to(q.dtype()).matmul(values);
      done.add(y.reshape(batch, heads, n, v.size(3)));
    }
    return done.size() == 1 ? done.getFirst() : Tensor.cat(done, 2);
  }
}

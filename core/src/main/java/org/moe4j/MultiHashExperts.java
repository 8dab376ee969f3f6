package org.moe4j;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.jspecify.annotations.Nullable;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.Ops;
import org.moe4j.tensor.Tensor;

/**
 * Feed-forward experts that are mixed by segments (S13, section 3.2). With N choices k_1 .. k_N a
 * token's hidden units of segment m come from expert k_m's rows of that segment, and so do the
 * output elements of segment m:
 *
 * <pre>v = act(concat_m A_{k_m}^m x), y = concat_m B_{k_m}^m v</pre>
 *
 * Weights are stacked as those of {@link FeedForwardExperts}: with equal choices the result is that
 * expert's own, whatever N is. The routing's weights are not used; a choice of -1 gives zeros.
 */
public final class MultiHashExperts implements RetrievalExperts {
  private final ExpertForm form;
  private final int count;
  private final int width;
  private final int hidden;
  private final int segments;
  private final double dropout;
  private final FeedForwardExperts weights;

  MultiHashExperts(RouterSetup setup) {
    MoeConfig c = setup.config();
    this.form = c.form();
    this.count = c.experts();
    this.width = c.width();
    this.hidden = c.expertWidth();
    this.segments = c.topK();
    this.dropout = c.expertDropout();
    this.weights =
        new FeedForwardExperts(
            form, count, width, hidden, dropout, c.init(), setup.store(), setup.layer());
  }

  /** The stacked weights. */
  public FeedForwardExperts weights() {
    return weights;
  }

  @Override
  public int count() {
    return count;
  }

  @Override
  public Tensor forward(Tensor x, Retrieval routing, TokenContext context) {
    long[] ids = routing.ids().toLongs();
    int tokens = Math.toIntExact(x.size(0));
    List<Segment> chosen = new ArrayList<>();
    for (int m = 0; m < segments; m++) {
      long[] of = new long[tokens];
      int segment = m;
      Arrays.setAll(of, t -> ids[t * segments + segment]);
      chosen.add(new Segment(of));
    }
    int h = hidden / segments;
    int d = width / segments;
    Tensor v = concat(x, chosen, weights.in(), weights.inBias().orElse(null), 0, h);
    if (form.gated()) {
      Tensor up = concat(x, chosen, weights.in(), weights.inBias().orElse(null), hidden, h);
      v = Tensor.cat(List.of(v, up), 1);
    }
    v = form.hidden(v);
    if (context.training() && dropout > 0) {
      v = Ops.dropout(v, dropout, context.random());
    }
    return concat(v, chosen, weights.out(), weights.outBias().orElse(null), 0, d);
  }

  /** All segments of one projection beside each other: rows [from + m n, from + (m + 1) n). */
  private Tensor concat(
      Tensor x,
      List<Segment> chosen,
      Parameter stacked,
      @Nullable Parameter bias,
      long from,
      long n) {
    List<Tensor> parts = new ArrayList<>();
    for (int m = 0; m < segments; m++) {
      Tensor w = stacked.tensor().to(x.dtype()).narrow(1, from + m * n, n);
      Tensor b = bias == null ? null : bias.tensor().to(x.dtype()).narrow(1, from + m * n, n);
      parts.add(chosen.get(m).project(x, w, b));
    }
    return Tensor.cat(parts, 1);
  }

  /** Which tokens go to which expert for one segment: token numbers sorted by expert, stably. */
  private final class Segment {
    private final long[] counts = new long[count];
    private final long[] order;
    private final long[] place;

    private Segment(long[] expert) {
      for (long e : expert) {
        if (e >= count) {
          throw new MoeException("the routing names expert " + e + " of " + count);
        }
        if (e >= 0) {
          counts[(int) e]++;
        }
      }
      int[] next = new int[count];
      for (int e = 1; e < count; e++) {
        next[e] = next[e - 1] + (int) counts[e - 1];
      }
      this.order = new long[(int) Arrays.stream(counts).sum()];
      this.place = new long[expert.length];
      for (int t = 0; t < expert.length; t++) {
        // Unserved tokens read the row of zeros behind all others.
        place[t] = expert[t] < 0 ? order.length : next[(int) expert[t]]++;
        if (expert[t] >= 0) {
          order[(int) place[t]] = t;
        }
      }
    }

    /** {@code x [T,*]} to [T,n] by each token's own {@code w [E,n,*]}. */
    private Tensor project(Tensor x, Tensor w, @Nullable Tensor b) {
      List<Tensor> groups = x.indexSelect(0, Assignment.index(order, x)).split(counts, 0);
      List<Tensor> matrices = w.unbind(0);
      List<Tensor> biases = b == null ? List.of() : b.unbind(0);
      List<Tensor> rows = new ArrayList<>();
      for (int e = 0; e < count; e++) {
        rows.add(
            Ops.linear(groups.get(e), matrices.get(e), biases.isEmpty() ? null : biases.get(e)));
      }
      Tensor all = Assignment.withZeroRow(Tensor.cat(rows, 0));
      return all.indexSelect(0, Assignment.index(place, x));
    }
  }
}

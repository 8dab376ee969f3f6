package org.moe4j.models;

import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;
import org.moe4j.Gating;
import org.moe4j.Init;
import org.moe4j.LinearRouter;
import org.moe4j.Parameter;
import org.moe4j.ParameterStore;
import org.moe4j.Role;
import org.moe4j.TokenChoice;
import org.moe4j.TokenContext;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.Ops;
import org.moe4j.tensor.Tensor;

/**
 * A {@link AttentionExpertsConfig mixture of attention heads}: {@code y = sum over the chosen e of
 * w_e o_e W_out[e]^T + b}, where o_e is the attention of the queries {@code x W_in[e]^T} over keys
 * and values that all experts share.
 */
public final class ExpertAttention implements Attention {
  private final AttentionExpertsConfig config;
  private final int layer;
  private final int window;
  private final Rope rope;
  private final LinearRouter router;
  private final Parameter gate;
  private final Parameter in;
  private final Parameter out;
  private final Parameter bias;
  private final Linear kv;

  ExpertAttention(
      ParameterStore store, DecoderConfig decoder, AttentionExpertsConfig c, int layer, Rope rope) {
    this.config = c;
    this.layer = layer;
    this.window = decoder.window(layer);
    this.rope = rope;
    int d = decoder.hidden();
    Init init = Init.normal(decoder.initStd());
    this.router =
        new LinearRouter(
            Gating.TOP_K_SOFTMAX.with(Gating.Rounding.LOGITS),
            d,
            c.experts(),
            c.topK(),
            false,
            0,
            init,
            store,
            layer);
    this.gate = router.weight();
    Role role = new Role.RoutedExperts(layer, c.experts());
    this.in = store.create("w_in", role, init, c.experts(), c.width(), d);
    this.out = store.create("w_out", role, init, c.experts(), d, c.width());
    this.bias = store.create("output_bias", Role.NON_EXPERT, Init.zeros(), d);
    this.kv = new Linear(store, "kv_proj", 2L * c.width(), d, false, decoder.initStd());
  }

  @Override
  public Tensor apply(Tensor x, TokenContext context, Span span, @Nullable KvCache cache) {
    long batch = x.size(0);
    long s = x.size(1);
    int k = config.topK();
    Tensor tokens = x.reshape(batch * s, x.size(2));
    TokenChoice choice = router.route(tokens, context.atLayer(layer));
    Rows rows = Rows.of(choice.choices().toLongs(), config.experts());
    Tensor ofTokens = tokens.indexSelect(0, rows.tokens(k, x));
    Tensor queries = rows.times(ofTokens, in.tensor());
    // Slots of a key head side by side: grouped queries.
    Tensor query =
        queries
            .view(batch, s, k, config.kvHeads(), config.headDim())
            .permute(0, 3, 2, 1, 4)
            .reshape(batch, (long) config.kvHeads() * k, s, config.headDim());
    Tensor both = kv.apply(x);
    Tensor key = heads(both.narrow(-1, 0, config.width()));
    Tensor value = heads(both.narrow(-1, config.width(), config.width()));
    boolean late = rope.config().dependsOnLength();
    if (!late) {
      key = rope.apply(key, span);
    }
    if (cache != null) {
      KvCache.View all = cache.append(layer, key, value);
      key = all.keys();
      value = all.values();
    }
    if (late) {
      key = rope.apply(key, span.fromZero());
    }
    double scale = 1 / Math.sqrt(config.headDim());
    Tensor mixed = Scores.attend(rope.apply(query, span), key, value, span, window, scale);
    Tensor slots =
        mixed
            .view(batch, config.kvHeads(), k, s, config.headDim())
            .permute(0, 3, 2, 1, 4)
            .reshape(batch * s * k, config.width());
    Tensor outputs = rows.times(slots.indexSelect(0, rows.order(x)), out.tensor());
    Tensor weights = choice.weights().to(x.dtype()).unsqueeze(2);
    Tensor sum = outputs.view(batch * s, k, x.size(2)).mul(weights).sum(1, false);
    return sum.add(bias.tensor().to(x.dtype())).view(x.shape());
  }

  /** [B,S,K*D] to [B,K,S,D]. */
  private Tensor heads(Tensor x) {
    return x.view(x.size(0), x.size(1), config.kvHeads(), config.headDim()).transpose(1, 2);
  }

  /**
   * The T * k choices sorted by expert.
   *
   * @param order which choice comes at which place
   * @param inverse at which place each choice is
   * @param counts choices of each expert
   */
  private record Rows(long[] order, long[] inverse, long[] counts) {
    /** Sorted stably; padding goes to expert 0, where its weight is zero. */
    static Rows of(long[] choices, int experts) {
      long[] counts = new long[experts];
      for (long e : choices) {
        counts[(int) Math.max(e, 0)]++;
      }
      int[] next = new int[experts];
      for (int e = 1; e < experts; e++) {
        next[e] = next[e - 1] + (int) counts[e - 1];
      }
      long[] order = new long[choices.length];
      long[] inverse = new long[choices.length];
      for (int r = 0; r < choices.length; r++) {
        int at = next[(int) Math.max(choices[r], 0)]++;
        order[at] = r;
        inverse[r] = at;
      }
      return new Rows(order, inverse, counts);
    }

    Tensor order(Tensor like) {
      return Tensor.of(order, order.length).to(like.device());
    }

    /** The token of each row. */
    Tensor tokens(int k, Tensor like) {
      long[] tokens = order.clone();
      for (int i = 0; i < tokens.length; i++) {
        tokens[i] /= k;
      }
      return Tensor.of(tokens, tokens.length).to(like.device());
    }

    /** {@code rows [R, in]}, sorted, times the transposes of {@code w [E, out, in]}, unsorted. */
    Tensor times(Tensor rows, Tensor w) {
      DType type = rows.dtype();
      List<Tensor> groups = rows.split(counts, 0);
      List<Tensor> done = new ArrayList<>();
      for (int e = 0; e < counts.length; e++) {
        if (counts[e] > 0) {
          done.add(Ops.linear(groups.get(e), w.select(0, e).to(type), null));
        }
      }
      Tensor back = Tensor.of(inverse, inverse.length).to(rows.device());
      return Tensor.cat(done, 0).indexSelect(0, back);
    }
  }

  /** The router's weight [E,d]. */
  public Parameter gate() {
    return gate;
  }

  /** Query projections [E, K*D, d]. */
  public Parameter in() {
    return in;
  }

  /** Output projections [E, d, K*D]. */
  public Parameter out() {
    return out;
  }

  /** Added to the sum over experts [d]. */
  public Parameter bias() {
    return bias;
  }

  /** The projection to keys (first K*D rows) and values [2*K*D, d]. */
  public Linear kv() {
    return kv;
  }
}

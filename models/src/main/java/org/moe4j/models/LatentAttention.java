package org.moe4j.models;

import java.util.List;
import java.util.Optional;
import org.jspecify.annotations.Nullable;
import org.moe4j.ParameterStore;
import org.moe4j.TokenContext;
import org.moe4j.tensor.Tensor;

/**
 * {@link LatentConfig Multi-head latent attention}. Whole sequences make keys and values of every
 * head; behind a cache, which holds the compressed vectors alone, the projections to keys and
 * values are absorbed into the queries and the outputs (S40, section 2.1.2).
 */
public final class LatentAttention implements Attention {
  private final LatentConfig config;
  private final int layer;
  private final int window;
  private final Rope rope;
  private final @Nullable Linear q;
  private final @Nullable Compressed qCompressed;
  private final Linear kvDown;
  private final RmsNorm kvNorm;
  private final Linear kvUp;
  private final Linear o;

  /**
   * Queries through a compressed vector.
   *
   * @param down [queryRank, d]
   * @param norm of the compressed vector
   * @param up [H * (plainDim + ropeDim), queryRank]
   */
  public record Compressed(Linear down, RmsNorm norm, Linear up) {}

  LatentAttention(
      ParameterStore store, DecoderConfig decoder, LatentConfig c, int layer, Rope rope) {
    this.config = c;
    this.layer = layer;
    this.window = decoder.window(layer);
    this.rope = rope;
    int d = decoder.hidden();
    double std = decoder.initStd();
    long queries = (long) c.heads() * c.queryDim();
    if (c.queryRank() == 0) {
      this.q = new Linear(store, "q_proj", queries, d, false, std);
      this.qCompressed = null;
    } else {
      this.q = null;
      this.qCompressed =
          new Compressed(
              new Linear(store, "q_a_proj", c.queryRank(), d, c.bias(), std),
              new RmsNorm(store, "q_a_norm", c.queryRank(), c.normEps()),
              new Linear(store, "q_b_proj", queries, c.queryRank(), false, std));
    }
    this.kvDown = new Linear(store, "kv_a_proj", c.kvRank() + c.ropeDim(), d, c.bias(), std);
    this.kvNorm = new RmsNorm(store, "kv_a_norm", c.kvRank(), c.normEps());
    long both = (long) c.heads() * (c.plainDim() + c.valueDim());
    this.kvUp = new Linear(store, "kv_b_proj", both, c.kvRank(), false, std);
    this.o = new Linear(store, "o_proj", d, (long) c.heads() * c.valueDim(), c.bias(), std);
  }

  @Override
  public Tensor apply(Tensor x, TokenContext context, Span span, @Nullable KvCache cache) {
    long batch = x.size(0);
    long s = x.size(1);
    Tensor query = queries(x).view(batch, s, config.heads(), config.queryDim()).transpose(1, 2);
    Tensor plain = query.narrow(-1, 0, config.plainDim());
    Tensor turned = rope.apply(query.narrow(-1, config.plainDim(), config.ropeDim()), span);
    Tensor down = kvDown.apply(x);
    Tensor latent = kvNorm.apply(down.narrow(-1, 0, config.kvRank()).contiguous()).unsqueeze(1);
    Tensor shared = down.narrow(-1, config.kvRank(), config.ropeDim()).unsqueeze(1);
    boolean late = rope.config().dependsOnLength();
    if (!late) {
      shared = rope.apply(shared, span);
    }
    if (cache != null) {
      KvCache.View all = cache.append(layer, shared, latent);
      shared = all.keys();
      latent = all.values();
    }
    if (late) {
      shared = rope.apply(shared, span.fromZero());
    }
    Tensor mixed =
        span.start() == 0
            ? expanded(plain, turned, latent, shared, span)
            : absorbed(plain, turned, latent, shared, span);
    return o.apply(
        mixed.transpose(1, 2).reshape(batch, s, (long) config.heads() * config.valueDim()));
  }

  private Tensor queries(Tensor x) {
    if (q != null) {
      return q.apply(x);
    }
    if (qCompressed == null) {
      throw new AssertionError("queries are projected in one step or in two");
    }
    return qCompressed.up.apply(qCompressed.norm.apply(qCompressed.down.apply(x)));
  }

  /** Keys and values of every head: [B,H,S,V]. */
  private Tensor expanded(Tensor plain, Tensor turned, Tensor latent, Tensor shared, Span span) {
    long batch = latent.size(0);
    long n = latent.size(2);
    int h = config.heads();
    Tensor both =
        kvUp.apply(latent.squeeze(1))
            .view(batch, n, h, config.plainDim() + config.valueDim())
            .transpose(1, 2);
    Tensor key =
        Tensor.cat(
            List.of(
                both.narrow(-1, 0, config.plainDim()),
                shared.expand(batch, h, n, config.ropeDim())),
            -1);
    Tensor value = both.narrow(-1, config.plainDim(), config.valueDim());
    Tensor query = Tensor.cat(List.of(plain, turned), -1);
    return Scores.attend(query, key, value, span, window, config.scoreScale());
  }

  /** All heads against the compressed vectors themselves: [B,H,S,V]. */
  private Tensor absorbed(Tensor plain, Tensor turned, Tensor latent, Tensor shared, Span span) {
    Tensor up =
        kvUp.weight()
            .tensor()
            .to(plain.dtype())
            .view(config.heads(), config.plainDim() + config.valueDim(), config.kvRank());
    Tensor toKeys = up.narrow(1, 0, config.plainDim());
    Tensor toValues = up.narrow(1, config.plainDim(), config.valueDim());
    Tensor query = Tensor.cat(List.of(plain.matmul(toKeys), turned), -1);
    Tensor key = Tensor.cat(List.of(latent, shared), -1);
    Tensor mixed = Scores.attend(query, key, latent, span, window, config.scoreScale());
    return mixed.matmul(toValues.transpose(1, 2));
  }

  /** The projection to queries [H * (plainDim + ropeDim), d], if it is one. */
  public Optional<Linear> q() {
    return Optional.ofNullable(q);
  }

  /** The projections to queries through a compressed vector, if there are two. */
  public Optional<Compressed> qCompressed() {
    return Optional.ofNullable(qCompressed);
  }

  /** The projection to the compressed vector and the shared key [kvRank + ropeDim, d]. */
  public Linear kvDown() {
    return kvDown;
  }

  /** The norm of the compressed vector. */
  public RmsNorm kvNorm() {
    return kvNorm;
  }

  /** The projection to keys and values of all heads [H * (plainDim + valueDim), kvRank]. */
  public Linear kvUp() {
    return kvUp;
  }

  /** The output projection [d, H * valueDim]. */
  public Linear o() {
    return o;
  }
}

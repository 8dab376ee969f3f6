package org.moe4j.models;

import org.moe4j.MoeConfig;

/**
 * How many parameters a model has.
 *
 * @param total all of them; a tied output projection counts once
 * @param active those that one token meets: of the routed experts only the k it chooses
 */
public record ParameterCount(long total, long active) {
  static ParameterCount of(DecoderConfig c) {
    long d = c.hidden();
    long norm = c.norm() == NormKind.LAYER ? 2 * d : d;
    long shared = c.vocab() * d * (c.tiedEmbeddings() ? 1 : 2) + norm;
    ParameterCount sum = new ParameterCount(shared, shared);
    for (FeedForwardConfig f : c.feedForward()) {
      long block = 2 * norm + attention(c.attention(), d);
      sum = sum.plus(new ParameterCount(block, block)).plus(feedForward(f, d));
    }
    return sum;
  }

  private static long attention(AttentionConfig a, long d) {
    long projections = 2 * d * a.queryWidth() + 2 * d * a.kvWidth();
    boolean norms = a.qkNorm() == AttentionConfig.QkNorm.WHOLE;
    return projections + (norms ? a.queryWidth() + a.kvWidth() : 0);
  }

  private static ParameterCount feedForward(FeedForwardConfig f, long d) {
    return switch (f) {
      case FeedForwardConfig.Dense dense -> {
        long n = dense.form().parameters(d, dense.width());
        yield new ParameterCount(n, n);
      }
      case FeedForwardConfig.Moe m -> {
        MoeConfig moe = m.moe();
        yield new ParameterCount(moe.parameters(), moe.activeParameters());
      }
    };
  }

  private ParameterCount plus(ParameterCount other) {
    return new ParameterCount(total + other.total, active + other.active);
  }
}

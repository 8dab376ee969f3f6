package org.moe4j.models;

import java.util.HashSet;
import java.util.Set;
import java.util.stream.LongStream;
import org.moe4j.ExpertForm;
import org.moe4j.MoeConfig;

/**
 * How many parameters a model has.
 *
 * @param total all of them; a tied output projection counts once
 * @param active those that one token meets: of the routed experts only the k it chooses
 */
public record ParameterCount(long total, long active) {
  /**
   * Counts.
   *
   * @throws ArithmeticException if there are more than a long holds
   */
  static ParameterCount of(DecoderConfig c) {
    long d = c.hidden();
    long norm = c.norm().parameters(d);
    long head = c.headBias() ? c.vocab() : 0;
    long shared = product(c.vocab(), d, c.tiedEmbeddings() ? 1 : 2) + norm + head;
    ParameterCount sum = new ParameterCount(shared, shared);
    for (FeedForwardConfig f : c.feedForward()) {
      AttentionConfig a = c.attention();
      sum =
          sum.plus(new ParameterCount(2 * norm, 2 * norm))
              .plus(new ParameterCount(a.parameters(c.hidden()), a.activeParameters(c.hidden())))
              .plus(feedForward(f, d));
    }
    long repeated = repeated(c);
    return new ParameterCount(sum.total - repeated, sum.active - repeated);
  }

  /** What was counted again in each layer after a router's first, though its layers share it. */
  private static long repeated(DecoderConfig c) {
    Set<String> seen = new HashSet<>();
    return c.feedForward().stream()
        .flatMap(f -> f.sparse().stream())
        .filter(m -> !seen.add(m.router()))
        .mapToLong(MoeConfig::commonParameters)
        .sum();
  }

  static ParameterCount feedForward(FeedForwardConfig f, long d) {
    return switch (f) {
      case FeedForwardConfig.Dense dense -> {
        long n = network(dense.form(), d, dense.width());
        yield new ParameterCount(n, n);
      }
      case FeedForwardConfig.Moe m -> moe(m.moe());
    };
  }

  private static ParameterCount moe(MoeConfig m) {
    // The configuration's own counts do not watch for overflow.
    product(m.experts(), Math.addExact(network(m.form(), m.width(), m.expertWidth()), m.width()));
    network(m.sharedForm(), m.width(), m.sharedWidth());
    return new ParameterCount(m.parameters(), m.activeParameters());
  }

  private static long network(ExpertForm form, long d, long width) {
    product(form.matrices() + 4, d + 1, width + 1);
    return form.parameters(d, width);
  }

  private static long product(long... factors) {
    return LongStream.of(factors).reduce(1, Math::multiplyExact);
  }

  ParameterCount plus(ParameterCount other) {
    return new ParameterCount(
        Math.addExact(total, other.total), Math.addExact(active, other.active));
  }
}

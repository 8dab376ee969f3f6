package org.moe4j.lab;

import org.moe4j.models.DecoderConfig;
import org.moe4j.models.FeedForwardConfig;
import org.moe4j.models.ParameterCount;

/**
 * What an arm costs, computed from its configuration.
 *
 * @param parameters all weights
 * @param active those that a token meets
 * @param flops floating-point operations of a token's forward pass, a multiplication and an
 *     addition counted as two, matrix products only; backward takes twice as many
 * @param tokensPerStep targets of a step
 */
public record Cost(long parameters, long active, long flops, long tokensPerStep) {
  /**
   * Of a decoder.
   *
   * @param length tokens of a sequence
   * @param sequences of a step
   */
  public static Cost of(DecoderConfig c, int length, int sequences) {
    ParameterCount count = c.parameters();
    // A query sees half of the sequence on average: scores and their mixture of values.
    long attention = 2 * c.attention().activeParameters(c.hidden()) + 2L * c.hidden() * length;
    long flops = c.layers() * attention + 2L * c.hidden() * c.vocab();
    for (FeedForwardConfig f : c.feedForward()) {
      flops +=
          switch (f) {
            case FeedForwardConfig.Moe m -> m.moe().flopsPerToken();
            case FeedForwardConfig.Dense d -> 2L * d.form().matrices() * c.hidden() * d.width();
          };
    }
    return new Cost(count.total(), count.active(), flops, (long) length * sequences);
  }
}

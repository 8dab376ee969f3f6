package org.moe4j.models;

import org.moe4j.tensor.MoeException;

/**
 * How the next token is chosen from its logits.
 *
 * @param temperature logits are divided by it; 0 is greedy
 * @param topK only the k most likely are considered; 0 for all
 * @param topP only the most likely that together reach this probability are considered; 1 for all
 * @param seed where the random choices start
 */
public record Sampling(double temperature, int topK, double topP, long seed) {
  /** Always the most likely token, the lowest id among equals. */
  public static final Sampling GREEDY = new Sampling(0, 0, 1, 0);

  /** Checks the numbers. */
  public Sampling {
    if (!(temperature >= 0) || Double.isInfinite(temperature)) {
      throw new MoeException("temperature " + temperature + ": must be a number of at least 0");
    }
    if (topK < 0) {
      throw new MoeException("top_k " + topK + ": must be at least 0 (0 considers every token)");
    }
    if (!(topP > 0 && topP <= 1)) {
      throw new MoeException("top_p " + topP + ": must be above 0 and at most 1");
    }
  }

  /** Sampling at a temperature from all tokens. */
  public static Sampling at(double temperature, long seed) {
    return new Sampling(temperature, 0, 1, seed);
  }

  /** True if nothing is left to chance. */
  public boolean greedy() {
    return temperature == 0;
  }
}

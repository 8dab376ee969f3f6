package org.moe4j.engine;

import java.util.Set;

/**
 * How tokens are chosen and when to stop.
 *
 * @param tokens at most so many are made
 * @param temperature logits are divided by it; 0 takes the likeliest token
 * @param topK only so many of the likeliest; 0 for all
 * @param topP only the likeliest that together reach this probability; 1 for all
 * @param minP only those at least this times as likely as the likeliest; 0 for all
 * @param repetition logits of tokens among the last {@code window} are divided by it, or multiplied
 *     if negative; 1 for none (Keskar et al., 2019)
 * @param window how many tokens back repetition counts
 * @param seed of the random numbers
 * @param stop tokens that end the text; they are not part of it
 */
public record Sampling(
    int tokens,
    float temperature,
    int topK,
    float topP,
    float minP,
    float repetition,
    int window,
    long seed,
    Set<Integer> stop) {
  /** The likeliest token each time, 256 of them. */
  public static final Sampling GREEDY = new Sampling(256, 0, 0, 1, 0, 1, 64, 0, Set.of());

  /** Checks the numbers. */
  public Sampling {
    check(tokens >= 0, "tokens", tokens, "0 or more");
    check(temperature >= 0 && temperature < 1e6, "temperature", temperature, "0 or more");
    check(topK >= 0, "topK", topK, "0 or more");
    check(topP > 0 && topP <= 1, "topP", topP, "above 0 and at most 1");
    check(minP >= 0 && minP <= 1, "minP", minP, "0 to 1");
    check(repetition > 0 && repetition < 1e6, "repetition", repetition, "above 0");
    check(window >= 0, "window", window, "0 or more");
    stop = Set.copyOf(stop);
  }

  private static void check(boolean fits, String name, Number value, String expected) {
    if (!fits) {
      throw new EngineException(name + " is " + value + ", expected " + expected);
    }
  }

  /** With another number of tokens. */
  public Sampling withTokens(int most) {
    return new Sampling(most, temperature, topK, topP, minP, repetition, window, seed, stop);
  }

  /** With another temperature. */
  public Sampling withTemperature(float value) {
    return new Sampling(tokens, value, topK, topP, minP, repetition, window, seed, stop);
  }

  /** With other limits to what is drawn from. */
  public Sampling withLimits(int k, float p, float least) {
    return new Sampling(tokens, temperature, k, p, least, repetition, window, seed, stop);
  }

  /** With another penalty for tokens among the last {@code back}. */
  public Sampling withRepetition(float penalty, int back) {
    return new Sampling(tokens, temperature, topK, topP, minP, penalty, back, seed, stop);
  }

  /** With another seed. */
  public Sampling withSeed(long value) {
    return new Sampling(tokens, temperature, topK, topP, minP, repetition, window, value, stop);
  }

  /** With other tokens that end the text. */
  public Sampling withStop(Set<Integer> ids) {
    return new Sampling(tokens, temperature, topK, topP, minP, repetition, window, seed, ids);
  }
}

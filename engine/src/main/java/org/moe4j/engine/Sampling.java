package org.moe4j.engine;

import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * How tokens are chosen and when to stop. In this order: {@code bias} is added to the logits; then
 * come the {@code penalties}; with temperature 0 the likeliest token is taken; else logits are
 * divided by the temperature, and a token is drawn from what {@code limits} leave.
 *
 * @param tokens at most so many are made
 * @param temperature logits are divided by it; 0 takes the likeliest token, of equals the first
 * @param limits which tokens are drawn from
 * @param penalties for tokens that stand in the text already
 * @param bias added to the logits of these tokens; negative infinity forbids one
 * @param logprobs of how many of the likeliest tokens to tell the probabilities, beside the chosen
 *     one's; -1 for none at all
 * @param seed of the random numbers
 * @param stop tokens that end the text; they are not part of it
 * @param stopTexts texts that end it, where text is made; they are not part of it
 */
public record Sampling(
    int tokens,
    float temperature,
    Limits limits,
    Penalties penalties,
    Map<Integer, Float> bias,
    int logprobs,
    long seed,
    Set<Integer> stop,
    List<String> stopTexts) {

  /**
   * Which tokens are drawn from, each limit being applied to what the one before left.
   *
   * @param topK only so many of the likeliest; 0 for all
   * @param topP only the likeliest that together reach this probability; 1 for all (Holtzman et
   *     al., 2020)
   * @param minP only those at least this times as likely as the likeliest; 0 for all (Nguyen et
   *     al., 2024)
   */
  public record Limits(int topK, float topP, float minP) {
    /** All tokens. */
    public static final Limits NONE = new Limits(0, 1, 0);

    /** Checks the numbers. */
    public Limits {
      Range.check(topK >= 0, "topK", topK, "0 or more");
      Range.check(topP > 0 && topP <= 1, "topP", topP, "above 0 and at most 1");
      Range.check(minP >= 0 && minP <= 1, "minP", minP, "0 to 1");
    }
  }

  /**
   * What is taken off the logits of tokens among the last {@code window} of prompt and text.
   *
   * @param repetition they are divided by it, or multiplied if negative; 1 for none (Keskar et al.,
   *     2019)
   * @param frequency taken off for each time a token stands there; 0 for none
   * @param presence taken off once; 0 for none
   * @param window how many tokens back
   */
  public record Penalties(float repetition, float frequency, float presence, int window) {
    /** None. */
    public static final Penalties NONE = new Penalties(1, 0, 0, 64);

    /** Checks the numbers. */
    public Penalties {
      Range.check(repetition > 0 && repetition < 1e6, "repetition", repetition, "above 0");
      Range.check(Math.abs(frequency) < 1e6, "frequency", frequency, "a number");
      Range.check(Math.abs(presence) < 1e6, "presence", presence, "a number");
      Range.check(window >= 0, "window", window, "0 or more");
    }

    /** Whether nothing is taken off. */
    boolean none() {
      return window == 0 || (repetition == 1 && frequency == 0 && presence == 0);
    }
  }

  /** The likeliest token each time, 256 of them. */
  public static final Sampling GREEDY =
      new Sampling(256, 0, Limits.NONE, Penalties.NONE, Map.of(), -1, 0, Set.of(), List.of());

  /** Checks the numbers. */
  public Sampling {
    Range.check(tokens >= 0, "tokens", tokens, "0 or more");
    Range.check(temperature >= 0 && temperature < 1e6, "temperature", temperature, "0 or more");
    Range.check(logprobs >= -1, "logprobs", logprobs, "0 or more, or -1 for none");
    bias = Map.copyOf(bias);
    bias.forEach(
        (token, value) ->
            Range.check(
                value < Float.POSITIVE_INFINITY, "bias of token " + token, value, "a number"));
    stop = Set.copyOf(stop);
    stopTexts = List.copyOf(stopTexts);
    if (stopTexts.contains("")) {
      throw new EngineException("a stop text is empty; leave it out");
    }
  }

  /** With another number of tokens. */
  public Sampling withTokens(int most) {
    return new Sampling(
        most, temperature, limits, penalties, bias, logprobs, seed, stop, stopTexts);
  }

  /** With another temperature. */
  public Sampling withTemperature(float value) {
    return new Sampling(tokens, value, limits, penalties, bias, logprobs, seed, stop, stopTexts);
  }

  /** With other limits to what is drawn from. */
  public Sampling withLimits(int topK, float topP, float minP) {
    Limits other = new Limits(topK, topP, minP);
    return new Sampling(
        tokens, temperature, other, penalties, bias, logprobs, seed, stop, stopTexts);
  }

  /** With other penalties. */
  public Sampling withPenalties(Penalties other) {
    return new Sampling(tokens, temperature, limits, other, bias, logprobs, seed, stop, stopTexts);
  }

  /** With another penalty for tokens among the last {@code back}. */
  public Sampling withRepetition(float penalty, int back) {
    return withPenalties(new Penalties(penalty, penalties.frequency, penalties.presence, back));
  }

  /** With other additions to logits. */
  public Sampling withBias(Map<Integer, Float> added) {
    return new Sampling(
        tokens, temperature, limits, penalties, added, logprobs, seed, stop, stopTexts);
  }

  /** With the probabilities of so many of the likeliest tokens told. */
  public Sampling withLogprobs(int count) {
    return new Sampling(tokens, temperature, limits, penalties, bias, count, seed, stop, stopTexts);
  }

  /** With another seed. */
  public Sampling withSeed(long value) {
    return new Sampling(
        tokens, temperature, limits, penalties, bias, logprobs, value, stop, stopTexts);
  }

  /** With other tokens that end the text. */
  public Sampling withStop(Set<Integer> ids) {
    return new Sampling(
        tokens, temperature, limits, penalties, bias, logprobs, seed, ids, stopTexts);
  }

  /** With other texts that end the text. */
  public Sampling withStopTexts(List<String> texts) {
    return new Sampling(tokens, temperature, limits, penalties, bias, logprobs, seed, stop, texts);
  }
}

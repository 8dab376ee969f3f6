package org.moe4j.engine;

import java.util.Arrays;
import java.util.List;

/**
 * How likely a token was: natural logarithms of the probabilities that the model gave, before bias,
 * penalties and temperature.
 *
 * @param token the one that was chosen
 * @param logprob of it
 * @param top the likeliest tokens, the likeliest first
 */
public record Logprobs(int token, double logprob, List<Ranked> top) {
  /** One of the likeliest tokens. */
  public record Ranked(int token, double logprob) {}

  /** Of {@code token} and the {@code count} likeliest. */
  public static Logprobs of(float[] logits, int token, int count) {
    double most = Double.NEGATIVE_INFINITY;
    for (float z : logits) {
      most = Math.max(most, z);
    }
    double sum = 0;
    for (float z : logits) {
      sum += Math.exp(z - most);
    }
    double all = most + Math.log(sum);
    List<Ranked> top =
        Arrays.stream(Ranking.first(logits, count))
            .mapToObj(id -> new Ranked(id, logits[id] - all))
            .toList();
    return new Logprobs(token, logits[token] - all, top);
  }
}

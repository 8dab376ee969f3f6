package org.moe4j.models;

import java.util.Arrays;
import java.util.Set;
import java.util.function.IntPredicate;
import java.util.function.UnaryOperator;
import java.util.stream.IntStream;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.NoGrad;
import org.moe4j.tensor.Scope;
import org.moe4j.tensor.Tensor;

/** Continues a sequence of token ids, one token at a time, with a {@link Reading}. */
public final class Generator {
  private final Decoder model;
  private final Sampling sampling;
  private final Set<Integer> stopIds;

  /**
   * A generator for one model.
   *
   * @param stopIds tokens that end a continuation; they are not part of it
   */
  public Generator(Decoder model, Sampling sampling, Set<Integer> stopIds) {
    this.model = model;
    this.sampling = sampling;
    this.stopIds = Set.copyOf(stopIds);
  }

  /**
   * Continues {@code prompt} by up to {@code maxTokens} tokens, fewer if a stop token comes, if the
   * model's positions are used up or if {@code onToken} refuses to go on.
   *
   * @param onToken told of each new token at once; false ends the continuation after it
   * @return the new tokens
   * @throws MoeException if the prompt is empty, longer than the model's positions, or holds an id
   *     that is not in its vocabulary
   */
  public int[] generate(int[] prompt, int maxTokens, IntPredicate onToken) {
    int limit = limit(prompt, maxTokens);
    try (NoGrad off = NoGrad.open();
        Reading reading = model.reading(1, capacity(prompt, limit))) {
      return generate(reading::next, prompt, limit, onToken);
    }
  }

  /**
   * The same, reading only what {@code kept} does not hold already. The tokens are the same; a
   * mixture over domains (S14) reads everything anew.
   */
  public int[] generate(int[] prompt, int maxTokens, PrefixCache kept, IntPredicate onToken) {
    if (DomainMixture.serves(model)) {
      return generate(prompt, maxTokens, onToken);
    }
    int limit = limit(prompt, maxTokens);
    try (NoGrad off = NoGrad.open()) {
      int known = kept.begin(prompt, capacity(prompt, limit));
      int[] unread = Arrays.copyOfRange(prompt, known, prompt.length);
      return generate(kept::next, unread, limit, onToken);
    }
  }

  private int limit(int[] prompt, int maxTokens) {
    check(prompt);
    int room = model.config().maxPositions() - prompt.length + 1;
    return Math.min(Math.max(maxTokens, 0), room);
  }

  /** The last token made is not read. */
  private static int capacity(int[] prompt, int limit) {
    return prompt.length + Math.max(limit - 1, 0);
  }

  private int[] generate(
      UnaryOperator<Tensor> reading, int[] unread, int limit, IntPredicate onToken) {
    TokenSampler sampler = new TokenSampler(sampling);
    int[] made = new int[limit];
    int count = 0;
    int[] next = unread;
    while (count < limit) {
      int token = sampler.choose(step(next, reading));
      if (stopIds.contains(token)) {
        break;
      }
      made[count++] = token;
      if (!onToken.test(token)) {
        break;
      }
      next = new int[] {token};
    }
    return Arrays.copyOf(made, count);
  }

  private float[] step(int[] ids, UnaryOperator<Tensor> reading) {
    try (Scope scope = Scope.open()) {
      long[] wide = IntStream.of(ids).asLongStream().toArray();
      Tensor input = Tensor.of(wide, 1, wide.length).to(model.parameters().device());
      return reading.apply(input).toFloats();
    }
  }

  private void check(int[] prompt) {
    DecoderConfig config = model.config();
    if (prompt.length == 0) {
      throw new MoeException("the prompt has no tokens; give at least one");
    }
    if (prompt.length > config.maxPositions()) {
      throw new MoeException(
          "the prompt has "
              + prompt.length
              + " tokens, the model takes "
              + config.maxPositions()
              + "; shorten it");
    }
    for (int id : prompt) {
      if (id < 0 || id >= config.vocab()) {
        throw new MoeException(
            "token id "
                + id
                + " is not in the vocabulary of "
                + config.vocab()
                + "; is this the model's tokenizer?");
      }
    }
  }
}

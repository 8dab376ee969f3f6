package org.moe4j.models;

import java.util.Arrays;
import java.util.Set;
import java.util.function.IntPredicate;
import java.util.stream.IntStream;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.NoGrad;
import org.moe4j.tensor.Scope;
import org.moe4j.tensor.Tensor;

/** Answers a text with an {@link EncoderDecoder}, one token at a time. */
public final class AnswerGenerator {
  private final EncoderDecoder model;
  private final Sampling sampling;
  private final Set<Integer> stopIds;
  private final boolean cached;

  /**
   * A generator for one model.
   *
   * @param stopIds tokens that end an answer; they are not part of it
   */
  public AnswerGenerator(EncoderDecoder model, Sampling sampling, Set<Integer> stopIds) {
    this(model, sampling, stopIds, true);
  }

  private AnswerGenerator(
      EncoderDecoder model, Sampling sampling, Set<Integer> stopIds, boolean cached) {
    this.model = model;
    this.sampling = sampling;
    this.stopIds = Set.copyOf(stopIds);
    this.cached = cached;
  }

  /** The same without a cache: slow, to compare. */
  public AnswerGenerator uncached() {
    return new AnswerGenerator(model, sampling, stopIds, false);
  }

  /**
   * Answers {@code text} by up to {@code maxTokens} tokens, fewer if a stop token comes or if
   * {@code onToken} refuses to go on.
   *
   * @param onToken told of each new token at once; false ends the answer after it
   * @return the tokens behind the start token
   * @throws MoeException if the text is empty or holds an id that is not in the vocabulary
   */
  public int[] generate(int[] text, int maxTokens, IntPredicate onToken) {
    if (text.length == 0) {
      throw new MoeException("the text has no tokens; give at least one");
    }
    TokenSampler sampler = new TokenSampler(sampling);
    int[] made = new int[Math.max(maxTokens, 0)];
    int count = 0;
    try (NoGrad off = NoGrad.open();
        Scope scope = Scope.open();
        Reading reading = reading(model.encode(input(text)), made.length)) {
      int last = model.config().start();
      while (count < made.length) {
        int token = sampler.choose(step(last, reading));
        if (stopIds.contains(token)) {
          break;
        }
        made[count++] = token;
        if (!onToken.test(token)) {
          break;
        }
        last = token;
      }
    }
    return Arrays.copyOf(made, count);
  }

  private Reading reading(Encoding encoding, int capacity) {
    return cached ? model.reading(encoding, capacity) : model.readingUncached(encoding);
  }

  private float[] step(int id, Reading reading) {
    try (Scope scope = Scope.open()) {
      return reading.next(input(id)).toFloats();
    }
  }

  private Tensor input(int... ids) {
    long[] wide = IntStream.of(ids).asLongStream().toArray();
    return Tensor.of(wide, 1, wide.length).to(model.parameters().device());
  }
}

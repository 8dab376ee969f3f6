package org.moe4j.engine;

import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;

/**
 * Speed of a model: a prompt of random tokens is read, then tokens are written greedily, each round
 * with another prompt in an empty sequence.
 */
public final class DecodeBenchmark {
  private final Engine model;
  private final int prompt;
  private final int tokens;

  /**
   * Of so many tokens.
   *
   * @param tokens to be written behind the prompt; 0 to time the prompt alone
   * @throws EngineException if the prompt has none or they do not fit into the model's context
   */
  public DecodeBenchmark(Engine model, int prompt, int tokens) {
    int context = model.shape().context();
    if (prompt < 1 || tokens < 0) {
      throw new EngineException(
          "a prompt of " + prompt + " and " + tokens + " tokens; a prompt has at least 1");
    }
    if ((long) prompt + tokens > context) {
      throw new EngineException(
          "a prompt of "
              + prompt
              + " and "
              + tokens
              + " tokens do not fit into the context of "
              + context
              + "; ask for fewer");
    }
    this.model = model;
    this.prompt = prompt;
    this.tokens = tokens;
  }

  /**
   * What a round took.
   *
   * @param promptSeconds until the logits behind the prompt were there
   * @param decodeSeconds for all tokens written
   */
  public record Round(double promptSeconds, double decodeSeconds) {}

  /**
   * Tokens per second of several rounds.
   *
   * @param promptRate the median; of an even number the mean of the middle two
   * @param decodeRate the same; 0 if none were written
   */
  public record Result(double promptRate, double decodeRate) {}

  /** One round. */
  public Round round(long seed) {
    int[] text = new SplittableRandom(seed).ints(prompt, 0, model.shape().vocabulary()).toArray();
    try (Sequence sequence = model.sequence()) {
      long start = System.nanoTime();
      float[] logits = model.prompt(sequence, text);
      long read = System.nanoTime();
      Sampler sampler = new Sampler(Sampling.GREEDY);
      for (int i = 0; i < tokens; i++) {
        int[] token = {sampler.next(logits)};
        logits = model.step(List.of(new Engine.Addition(sequence, token, false)))[0];
      }
      return new Round((read - start) * 1e-9, (System.nanoTime() - read) * 1e-9);
    }
  }

  /** The medians of {@code count} rounds. */
  public Result rounds(int count) {
    List<Double> reading = new ArrayList<>();
    List<Double> writing = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      Round round = round(i + 1);
      reading.add(prompt / round.promptSeconds());
      writing.add(tokens / round.decodeSeconds());
    }
    return new Result(median(reading), median(writing));
  }

  private static double median(List<Double> values) {
    List<Double> sorted = values.stream().sorted().toList();
    int n = sorted.size();
    return (sorted.get((n - 1) / 2) + sorted.get(n / 2)) / 2;
  }
}

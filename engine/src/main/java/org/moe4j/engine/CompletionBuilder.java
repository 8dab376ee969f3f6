package org.moe4j.engine;

import java.util.ArrayList;
import java.util.List;
import java.util.function.Predicate;
import org.moe4j.engine.Completion.Finish;
import org.moe4j.engine.text.TextOutput;

/** A {@link Completion} in the making: is told of the tokens of one text. */
final class CompletionBuilder {
  private final Sampling how;
  private final Predicate<String> each;
  private final int promptTokens;
  private final TextOutput output;
  private final List<Integer> tokens = new ArrayList<>();
  private final List<Logprobs> logprobs = new ArrayList<>();
  private final long begin = System.nanoTime();
  private long first = begin;
  private boolean cancelled;

  /**
   * @param each told after every token of the text that came, if any did; false ends it
   */
  CompletionBuilder(Engine engine, Sampling how, int promptTokens, Predicate<String> each) {
    this.how = how;
    this.each = each;
    this.promptTokens = promptTokens;
    this.output = new TextOutput(engine.tokenizer(), how.stopTexts());
  }

  /** A token that was chosen by {@code logits}; false if the text ends behind it. */
  boolean token(int token, float[] logits) {
    first = tokens.isEmpty() ? System.nanoTime() : first;
    tokens.add(token);
    if (how.logprobs() >= 0) {
      logprobs.add(Logprobs.of(logits, token, how.logprobs()));
    }
    cancelled = !each.test(output.push(token));
    return !cancelled && !output.stopped();
  }

  /**
   * The text has ended.
   *
   * @param atStopToken whether at a token that ends it
   */
  Completion end(boolean atStopToken) {
    String rest = output.finish();
    if (!cancelled && !rest.isEmpty()) {
      cancelled = !each.test(rest);
    }
    long end = System.nanoTime();
    Finish finish = atStopToken || output.stopped() ? Finish.STOP : Finish.LENGTH;
    return new Completion(
        output.text(),
        tokens.stream().mapToInt(Integer::intValue).toArray(),
        cancelled ? Finish.CANCELLED : finish,
        List.copyOf(logprobs),
        promptTokens,
        ((tokens.isEmpty() ? end : first) - begin) * 1e-9,
        (end - begin) * 1e-9);
  }
}

package org.moe4j.engine;

import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.function.Predicate;
import org.moe4j.engine.Completion.Finish;
import org.moe4j.engine.text.TextOutput;
import org.moe4j.engine.text.Tokenizer;

/** Continues a prompt as text. */
final class TextGeneration {
  private final Engine engine;
  private final Tokenizer tokenizer;
  private final Sampling how;
  private final Predicate<String> each;
  private final TextOutput output;
  private final Sampler sampler;
  private final List<Logprobs> logprobs = new ArrayList<>();

  /**
   * @param each told of the text as it comes; false ends it
   */
  TextGeneration(Engine engine, Sampling how, Predicate<String> each) {
    this.engine = engine;
    this.tokenizer = engine.tokenizer();
    Set<Integer> stop = new HashSet<>(how.stop());
    stop.addAll(tokenizer.ends());
    this.how = how.withStop(stop);
    this.each = each;
    this.output = new TextOutput(tokenizer, how.stopTexts());
    this.sampler = new Sampler(how);
  }

  Completion run(int[] prompt) {
    long begin = System.nanoTime();
    Sequence sequence = engine.sequence();
    float[] logits = engine.prompt(sequence, prompt);
    for (int token : prompt) {
      sampler.accept(token);
    }
    long first = System.nanoTime();
    List<Integer> made = new ArrayList<>();
    Finish finish = Finish.LENGTH;
    while (made.size() < how.tokens()) {
      int token = sampler.next(logits);
      if (how.stop().contains(token)) {
        finish = Finish.STOP;
        break;
      }
      made.add(token);
      sampler.accept(token);
      if (how.logprobs() >= 0) {
        logprobs.add(Logprobs.of(logits, token, how.logprobs()));
      }
      boolean wanted = tell(output.push(token));
      if (!wanted || output.stopped()) {
        finish = wanted ? Finish.STOP : Finish.CANCELLED;
        break;
      }
      if (made.size() == how.tokens() || sequence.length() == engine.shape().context()) {
        break;
      }
      logits = engine.step(List.of(new Engine.Addition(sequence, new int[] {token}, false)))[0];
    }
    String rest = output.finish();
    if (finish != Finish.CANCELLED) {
      tell(rest);
    }
    return new Completion(
        output.text(),
        made.stream().mapToInt(Integer::intValue).toArray(),
        finish,
        List.copyOf(logprobs),
        prompt.length,
        (first - begin) * 1e-9,
        (System.nanoTime() - begin) * 1e-9);
  }

  /** Whether more is wanted. */
  private boolean tell(String part) {
    return part.isEmpty() || each.test(part);
  }
}

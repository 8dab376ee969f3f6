package org.moe4j.engine;

import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.function.Predicate;
import org.moe4j.engine.Generation.End;

/** Continues prompts as text. */
final class TextGeneration {
  private final Engine engine;
  private final Sampling how;

  TextGeneration(Engine engine, Sampling how) {
    Set<Integer> stop = new HashSet<>(how.stop());
    stop.addAll(engine.tokenizer().ends());
    this.engine = engine;
    this.how = how.withStop(stop);
  }

  /**
   * One prompt.
   *
   * @param each told after every token of the text that came, if any did; false ends it
   */
  Completion one(int[] prompt, Predicate<String> each) {
    CompletionBuilder text = new CompletionBuilder(engine, how, prompt.length, each);
    Sampler sampler = new Sampler(how);
    try (Sequence sequence = engine.sequence()) {
      float[] logits = engine.prompt(sequence, prompt);
      for (int token : prompt) {
        sampler.accept(token);
      }
      for (int made = 1; made <= how.tokens(); made++) {
        int token = sampler.next(logits);
        if (how.stop().contains(token)) {
          return text.end(true);
        }
        sampler.accept(token);
        boolean full = sequence.length() == engine.shape().context();
        if (!text.token(token, logits) || made == how.tokens() || full) {
          break;
        }
        logits = engine.step(List.of(new Engine.Addition(sequence, new int[] {token}, false)))[0];
      }
      return text.end(false);
    }
  }

  /** Several prompts side by side, each as if alone. */
  List<Completion> all(List<int[]> prompts) {
    List<Optional<Completion>> done = new ArrayList<>();
    List<EngineException> failures = new ArrayList<>();
    try (Batch batch = engine.batch(BatchOptions.DEFAULT)) {
      for (int i = 0; i < prompts.size(); i++) {
        int[] prompt = prompts.get(i);
        int at = i;
        done.add(Optional.empty());
        CompletionBuilder text = new CompletionBuilder(engine, how, prompt.length, part -> true);
        batch.add(
            prompt,
            how,
            new Generation.Listener() {
              @Override
              public boolean token(int token, float[] logits) {
                return text.token(token, logits);
              }

              @Override
              public void end(Generation generation) {
                boolean stopped = generation.end().equals(Optional.of(End.STOP));
                done.set(at, Optional.of(text.end(stopped)));
                generation.failure().ifPresent(failures::add);
              }
            });
      }
      while (batch.size() > 0 && failures.isEmpty()) {
        batch.step();
      }
    }
    if (!failures.isEmpty()) {
      throw failures.getFirst();
    }
    return done.stream().flatMap(Optional::stream).toList();
  }
}

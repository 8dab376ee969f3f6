package org.moe4j.engine;

import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.Random;

/**
 * Speed of a model: {@code Speed FILE THREADS PROMPT TOKENS [ROUNDS]}. Each round reads a prompt of
 * random tokens and makes TOKENS more; the first ones warm the compiler up, every one is printed.
 */
final class Speed {
  private Speed() {}

  public static void main(String[] args) {
    int length = Integer.parseInt(args[2]);
    int tokens = Integer.parseInt(args[3]);
    int rounds = args.length > 4 ? Integer.parseInt(args[4]) : 4;
    EngineOptions options = EngineOptions.DEFAULT.withThreads(Integer.parseInt(args[1]));
    long start = System.nanoTime();
    try (Engine model = Engine.open(Path.of(args[0]), options)) {
      System.out.printf(Locale.ROOT, "load_s %.2f%n", (System.nanoTime() - start) / 1e9);
      int[] prompt = new Random(1).ints(length, 3, model.shape().vocabulary()).toArray();
      for (int round = 0; round < rounds; round++) {
        Sequence sequence = model.sequence();
        start = System.nanoTime();
        float[] logits = model.prompt(sequence, prompt);
        double promptSeconds = (System.nanoTime() - start) / 1e9;
        Sampler sampler = new Sampler(Sampling.GREEDY);
        start = System.nanoTime();
        for (int i = 0; i < tokens; i++) {
          int[] token = {sampler.next(logits)};
          logits = model.step(List.of(new Engine.Addition(sequence, token, false)))[0];
        }
        double seconds = (System.nanoTime() - start) / 1e9;
        System.out.printf(
            Locale.ROOT,
            "{\"prompt_tok_s\":%.1f,\"decode_tok_s\":%.1f}%n",
            length / promptSeconds,
            tokens / seconds);
      }
    }
  }
}

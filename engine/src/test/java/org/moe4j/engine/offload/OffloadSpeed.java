package org.moe4j.engine.offload;

import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.Random;
import org.moe4j.engine.Engine;
import org.moe4j.engine.EngineOptions;
import org.moe4j.engine.Sequence;

/**
 * Speed with experts on disk: {@code OffloadSpeed FILE THREADS MEMORY PROMPT TOKENS ROUNDS}. Tokens
 * are drawn, not generated: a model of random weights soon repeats itself and with it its experts.
 */
final class OffloadSpeed {
  private OffloadSpeed() {}

  public static void main(String[] args) {
    EngineOptions options = EngineOptions.DEFAULT.withThreads(Integer.parseInt(args[1]));
    long memory = Long.parseLong(args[2]);
    int length = Integer.parseInt(args[3]);
    int tokens = Integer.parseInt(args[4]);
    try (Engine model =
        Engine.open(Path.of(args[0]), memory == 0 ? options : options.withMemory(memory))) {
      for (int round = 0; round < Integer.parseInt(args[5]); round++) {
        int[] text =
            new Random(round).ints(length + tokens, 3, model.shape().vocabulary()).toArray();
        try (Sequence sequence = model.sequence()) {
          OffloadStatistics before = model.offloadStatistics();
          long start = System.nanoTime();
          model.prompt(sequence, java.util.Arrays.copyOf(text, length));
          double prompt = (System.nanoTime() - start) / 1e9;
          OffloadStatistics between = model.offloadStatistics();
          start = System.nanoTime();
          for (int i = 0; i < tokens; i++) {
            model.step(List.of(new Engine.Addition(sequence, new int[] {text[length + i]}, false)));
          }
          double seconds = (System.nanoTime() - start) / 1e9;
          System.out.printf(
              Locale.ROOT,
              "{\"prompt_tok_s\":%.1f,\"decode_tok_s\":%.1f,\"prompt\":%s,\"decode\":%s}%n",
              length / prompt,
              tokens / seconds,
              json(between.since(before)),
              json(model.offloadStatistics().since(between)));
        }
      }
    }
  }

  private static String json(OffloadStatistics s) {
    return String.format(
        Locale.ROOT,
        "{\"hit_rate\":%.3f,\"misses\":%d,\"mb_read\":%.0f,\"guess_accuracy\":%.3f,"
            + "\"guesses_read\":%d,\"guesses_used\":%d,\"wait_s\":%.3f}",
        s.hitRate(),
        s.misses(),
        s.bytesRead() / 1e6,
        s.guessAccuracy(),
        s.guessesRead(),
        s.guessesUsed(),
        s.waitNanos() / 1e9);
  }
}

package org.moe4j.engine;

import static org.assertj.core.api.Assertions.assertThat;
import static org.moe4j.engine.TinyModels.text;

import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.moe4j.engine.Engine.Addition;

/** Prompts over several spans of softmax, and what 8 bits of keys and values cost. */
class LongContextTest {
  private static final int LENGTH = 1100;

  @TempDir Path folder;

  @ParameterizedTest
  @CsvSource({"llama-f16", "qwen3moe-q8_0"})
  void logitsAreThoseOfTheReferenceFarBehindTheBeginning(String name) throws Exception {
    Path file = TinyModels.longer(name, folder.resolve("model.gguf"), LENGTH);
    int[] tokens = text(1, LENGTH);
    double[][] expected = new Reference(file).logits(tokens);
    EngineOptions exact = EngineOptions.DEFAULT.withExact(true).withBatch(LENGTH);
    try (Engine model = Engine.open(file, exact)) {
      float[][] logits = model.step(List.of(new Addition(model.sequence(), tokens, true)));
      for (int t = 0; t < LENGTH; t++) {
        assertThat(distance(logits[t], expected[t])).as("token " + t).isLessThan(3e-4);
      }
    }
    try (Engine model = Engine.open(file, exact.withCacheType(CacheType.Q8))) {
      float[][] logits = model.step(List.of(new Addition(model.sequence(), tokens, true)));
      double sum = 0;
      for (int t = 0; t < LENGTH; t++) {
        sum += distance(logits[t], expected[t]);
      }
      assertThat(sum / LENGTH).isBetween(1e-4, 0.02);
    }
  }

  private static double distance(float[] actual, double[] expected) {
    double error = 0;
    double size = 0;
    for (int i = 0; i < expected.length; i++) {
      error += Math.pow(actual[i] - expected[i], 2);
      size += expected[i] * expected[i];
    }
    return Math.sqrt(error / size);
  }
}

package org.moe4j.cli;

import java.lang.management.ManagementFactory;
import java.nio.file.Path;
import org.moe4j.engine.CacheType;
import org.moe4j.engine.DecodeBenchmark;
import org.moe4j.engine.Engine;
import org.moe4j.engine.EngineException;
import org.moe4j.engine.EngineOptions;
import org.moe4j.tensor.NativeMemory;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import tools.jackson.databind.node.ObjectNode;

/** What measurements of a GGUF file's speed take and say. */
final class BenchModelOptions {
  @Parameters(paramLabel = "MODEL", description = "A GGUF file.")
  private Path model;

  @Mixin private EngineFlags engine;

  @Option(
      names = "--prompt",
      paramLabel = "N",
      defaultValue = "256",
      description = "Tokens of the prompt (default ${DEFAULT-VALUE}).")
  int prompt;

  @Option(
      names = "--rounds",
      paramLabel = "N",
      defaultValue = "3",
      description = "Rounds that are timed; the median counts (default ${DEFAULT-VALUE}).")
  int rounds;

  @Option(
      names = "--warm-up",
      paramLabel = "N",
      defaultValue = "1",
      description = "Rounds before that are not (default ${DEFAULT-VALUE}).")
  int warmUp;

  @Option(
      names = "--cache-type",
      paramLabel = "TYPE",
      defaultValue = "f16",
      description = "Keys and values in f16 or q8 (default ${DEFAULT-VALUE}).")
  private CacheType cacheType;

  @Option(names = "--json", description = "Print the result as one JSON document.")
  boolean json;

  /**
   * What was measured.
   *
   * @param loadSeconds until the model was ready
   * @param firstTokenSeconds from the start of the process to the first token, nothing warmed up
   */
  record Measured(
      double loadSeconds, double firstTokenSeconds, DecodeBenchmark.Result result, int threads) {}

  Measured measure(int tokens) {
    if (rounds < 1 || warmUp < 1) {
      throw new EngineException("--rounds and --warm-up are at least 1");
    }
    EngineOptions options = engine.options().withCacheType(cacheType);
    long start = System.nanoTime();
    try (Engine opened = Engine.open(model, options)) {
      double load = (System.nanoTime() - start) * 1e-9;
      DecodeBenchmark benchmark = new DecodeBenchmark(opened, prompt, tokens);
      new DecodeBenchmark(opened, prompt, 0).round(0);
      double first = sinceStart();
      for (int i = 0; i < warmUp; i++) {
        benchmark.round(-1 - i);
      }
      return new Measured(load, first, benchmark.rounds(rounds), options.threads());
    }
  }

  private static double sinceStart() {
    long start = ManagementFactory.getRuntimeMXBean().getStartTime();
    return (System.currentTimeMillis() - start) * 1e-3;
  }

  void put(Measured m, ObjectNode node) {
    node.put("load_s", rounded(m.loadSeconds()))
        .put("first_token_s", rounded(m.firstTokenSeconds()))
        .put("peak_memory_bytes", NativeMemory.peakResident())
        .put("threads", m.threads())
        .put("prompt", prompt)
        .put("rounds", rounds)
        .put("warm_up_rounds", warmUp);
  }

  static double rounded(double x) {
    return Math.round(x * 100) / 100.0;
  }
}

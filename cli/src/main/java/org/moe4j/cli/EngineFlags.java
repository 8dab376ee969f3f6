package org.moe4j.cli;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import org.moe4j.engine.Engine;
import org.moe4j.engine.EngineOptions;
import org.moe4j.tensor.MoeException;
import picocli.CommandLine.Option;

/** How the engine runs a GGUF file. */
final class EngineFlags {
  /** Bytes of keys and values that are kept: enough for many turns. */
  private static final long KEPT = 1L << 30;

  @Option(
      names = "--threads",
      paramLabel = "N",
      description = "Of a GGUF file: how many threads compute (default: one for each core).")
  private Optional<Integer> threads = Optional.empty();

  @Option(
      names = "--memory",
      paramLabel = "SIZE",
      converter = Size.class,
      description =
          "Of a GGUF file: what the model may take, such as 8g; routed experts beyond that stay on"
              + " disk and are read when tokens come for them (default: no limit).")
  private Optional<Long> memory = Optional.empty();

  /** Whether a model is for the engine: a file, not a folder. */
  static boolean serve(Path model) {
    boolean named = model.toString().endsWith(".gguf") && !Files.isDirectory(model);
    return named || Files.isRegularFile(model);
  }

  /** Refuses flags that mean nothing for a model in a folder. */
  void refuseFor(Path model) {
    if (threads.isPresent() || memory.isPresent()) {
      String flag = threads.isPresent() ? "--threads" : "--memory";
      throw new MoeException(model + ": " + flag + " is for GGUF files, which this is not");
    }
  }

  /** Opens the file. */
  Engine open(Path model) {
    return Engine.open(model, options());
  }

  /** Opens the file for prompts that begin alike: what they share is not computed again. */
  Engine openKeeping(Path model) {
    EngineOptions options = options();
    return Engine.open(model, options.withCache(options.cacheBytes(), KEPT));
  }

  /** The engine's options with these. */
  EngineOptions options() {
    EngineOptions options = EngineOptions.DEFAULT;
    options = threads.map(options::withThreads).orElse(options);
    return memory.map(options::withMemory).orElse(options);
  }
}

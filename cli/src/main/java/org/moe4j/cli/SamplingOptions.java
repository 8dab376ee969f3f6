package org.moe4j.cli;

import org.moe4j.models.Sampling;
import org.moe4j.tensor.MoeException;
import picocli.CommandLine.Option;

/** How tokens are chosen, and how many. */
final class SamplingOptions {
  @Option(
      names = "--max-tokens",
      paramLabel = "N",
      defaultValue = "128",
      description = "The most new tokens (default ${DEFAULT-VALUE}).")
  private int maxTokens;

  @Option(
      names = "--temperature",
      paramLabel = "T",
      defaultValue = "0",
      description = {
        "0: always the most likely token; higher: more variety (default 0).",
        "What generation_config.json proposes is not applied."
      })
  private double temperature;

  @Option(
      names = "--top-p",
      paramLabel = "P",
      defaultValue = "1",
      description = "Draw from the most likely tokens that together have this probability.")
  private double topP;

  @Option(
      names = "--seed",
      paramLabel = "S",
      defaultValue = "0",
      description = "The same seed draws the same tokens (default 0).")
  private long seed;

  int maxTokens() {
    if (maxTokens < 1) {
      throw new MoeException("--max-tokens " + maxTokens + ": give at least 1");
    }
    return maxTokens;
  }

  Sampling sampling() {
    return new Sampling(temperature, 0, topP, seed);
  }
}

package org.moe4j.cli;

import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.moe4j.engine.Sampling.Penalties;
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
      names = "--top-k",
      paramLabel = "K",
      defaultValue = "0",
      description = "Draw from so many of the most likely tokens (default 0: from all).")
  private int topK;

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

  @Option(
      names = "--min-p",
      paramLabel = "P",
      description =
          "Of a GGUF file: draw from tokens at least this times as likely as the likeliest.")
  private Optional<Double> minP = Optional.empty();

  @Option(
      names = "--repetition-penalty",
      paramLabel = "R",
      description = "Of a GGUF file: divide logits of the last 64 tokens by this.")
  private Optional<Double> repetition = Optional.empty();

  @Option(
      names = "--frequency-penalty",
      paramLabel = "F",
      description = "Of a GGUF file: take this off for each time a token is among the last 64.")
  private Optional<Double> frequency = Optional.empty();

  @Option(
      names = "--presence-penalty",
      paramLabel = "F",
      description = "Of a GGUF file: take this off if a token is among the last 64.")
  private Optional<Double> presence = Optional.empty();

  @Option(
      names = "--stop",
      paramLabel = "TEXT",
      description = "Of a GGUF file: end before this text; may be given several times.")
  private List<String> stop = List.of();

  @Option(
      names = "--logit-bias",
      paramLabel = "ID=B",
      split = ",",
      description = "Of a GGUF file: add this to the logits of these tokens.")
  private Map<Integer, Float> bias = Map.of();

  int maxTokens() {
    if (maxTokens < 1) {
      throw new MoeException("--max-tokens " + maxTokens + ": give at least 1");
    }
    return maxTokens;
  }

  /** For {@code model}, which is in a folder. */
  Sampling sampling(Path model) {
    refuse(model, "--min-p", minP.isPresent());
    refuse(model, "--repetition-penalty", repetition.isPresent());
    refuse(model, "--frequency-penalty", frequency.isPresent());
    refuse(model, "--presence-penalty", presence.isPresent());
    refuse(model, "--stop", !stop.isEmpty());
    refuse(model, "--logit-bias", !bias.isEmpty());
    return new Sampling(temperature, topK, topP, seed);
  }

  private static void refuse(Path model, String option, boolean given) {
    if (given) {
      throw new MoeException(model + ": " + option + " is for GGUF files, which this is not");
    }
  }

  /** For the engine. */
  org.moe4j.engine.Sampling engineSampling() {
    Penalties none = Penalties.NONE;
    return org.moe4j.engine.Sampling.GREEDY
        .withTokens(maxTokens())
        .withTemperature((float) temperature)
        .withLimits(topK, (float) topP, minP.orElse(0.0).floatValue())
        .withPenalties(
            new Penalties(
                repetition.map(Double::floatValue).orElse(none.repetition()),
                frequency.map(Double::floatValue).orElse(none.frequency()),
                presence.map(Double::floatValue).orElse(none.presence()),
                none.window()))
        .withBias(bias)
        .withStopTexts(stop)
        .withSeed(seed);
  }
}

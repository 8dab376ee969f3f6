package org.moe4j.train.config;

import java.nio.file.Path;
import java.util.List;

/**
 * Everything that decides a training run. {@link #defaults} trains a small Mixture-of-Experts
 * language model on the embedded corpus within minutes.
 */
public record TrainingConfig(
    @Key(doc = "The run: where it is written, what it runs on.") RunSection run,
    @Key(doc = "The text to learn from and how it becomes sequences of tokens.") DataSection data,
    @Key(doc = "The decoder around the experts.") ModelSection model,
    @Key(doc = "The Mixture-of-Experts layers.") MoeSection moe,
    @Key(doc = "The optimisation.") TrainSection train) {

  /** Checks every number against the range of its key. */
  public TrainingConfig {
    Check.ranges("run", run);
    Check.ranges("data", data);
    Check.ranges("model", model);
    Check.ranges("moe", moe);
    Check.ranges("train", train);
  }

  /** The configuration of a run that is told nothing. */
  public static TrainingConfig defaults() {
    return new TrainingConfig(
        RunSection.defaults(),
        DataSection.defaults(),
        ModelSection.defaults(),
        MoeSection.defaults(),
        TrainSection.defaults());
  }

  /** The defaults changed by {@code file} and then by {@code overrides} (section.key=value). */
  public static TrainingConfig read(Path file, List<String> overrides) {
    return new ConfigFormat<>(defaults()).read(file, overrides);
  }

  /** This configuration with {@code overrides} (section.key=value). */
  public TrainingConfig with(List<String> overrides) {
    return new ConfigFormat<>(this).parse("", "configuration", overrides);
  }

  /** As TOML with every key documented; reading it gives an equal configuration. */
  public String toToml() {
    return new ConfigFormat<>(this).write(this);
  }
}

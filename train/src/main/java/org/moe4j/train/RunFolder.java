package org.moe4j.train;

import java.nio.file.Files;
import java.nio.file.Path;

/** What lies where in a run's folder. */
record RunFolder(Path path) {
  static final String MODEL = "model";
  static final String TOKENIZER = "tokenizer.json";
  static final String CONFIG = "config.toml";
  private static final int KEPT_CHECKPOINTS = 2;

  /** The configuration as it was when the run began. */
  Path config() {
    return path.resolve(CONFIG);
  }

  Path tokenizer() {
    return path.resolve(TOKENIZER);
  }

  /** The trained model, when the run has ended. */
  Path model() {
    return path.resolve(MODEL);
  }

  Path metrics() {
    return path.resolve("metrics.jsonl");
  }

  Path tensorboard() {
    return path.resolve("tensorboard");
  }

  /** Which domains and tokens go to which expert. */
  Path routing() {
    return path.resolve("routing.json");
  }

  Path summary() {
    return path.resolve("summary.json");
  }

  Checkpoints checkpoints() {
    return new Checkpoints(path.resolve("checkpoints"), KEPT_CHECKPOINTS);
  }

  /** Whether a run was begun here. */
  boolean holdsRun() {
    return Files.exists(config());
  }
}

package org.moe4j.cli;

import org.moe4j.tensor.Ops;
import org.moe4j.train.config.Precision;
import picocli.CommandLine.Option;

/** What every measurement takes. */
final class BenchOptions {
  @Option(
      names = "--steps",
      defaultValue = "10",
      description = "Passes that are timed (${DEFAULT-VALUE}).")
  int steps;

  @Option(
      names = "--dtype",
      defaultValue = "fp32",
      description = "fp32 or bf16: of the activations (${DEFAULT-VALUE}).")
  Precision dtype;

  @Option(
      names = "--threads",
      defaultValue = "0",
      description = "Processor cores; 0 takes all (${DEFAULT-VALUE}).")
  private int threads;

  @Option(names = "--json", description = "Print the result as one JSON document.")
  boolean json;

  boolean bf16() {
    return dtype == Precision.BF16;
  }

  /** Puts the number of threads in force. */
  void apply() {
    Ops.threads(threads > 0 ? threads : Runtime.getRuntime().availableProcessors());
  }
}

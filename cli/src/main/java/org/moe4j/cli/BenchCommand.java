package org.moe4j.cli;

import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Spec;

/** {@code moe bench}: a group of measurements. */
@Command(
    name = "bench",
    description = "Measure speed.",
    subcommands = {
      BenchTrainCommand.class,
      BenchLayerCommand.class,
      BenchDecodeCommand.class,
      BenchPrefillCommand.class
    },
    footer = {"  moe bench train --json", "  moe bench decode model.gguf --threads 2 --json"})
final class BenchCommand implements Callable<Integer> {
  @Spec private CommandSpec spec;

  /** Without a subcommand: wrong usage, answered with the help. */
  @Override
  public Integer call() {
    spec.commandLine().usage(spec.commandLine().getErr());
    return Moe.WRONG_USAGE;
  }
}

package org.moe4j.cli;

import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Spec;

/** {@code moe paper}. */
@Command(
    name = "paper",
    description = "Show the effect of a paper of the reading list on this machine.",
    subcommands = {PaperListCommand.class, PaperRunCommand.class},
    footer = {
      "  moe paper list",
      "  moe paper run S56",
      "  moe paper run S56 --budget 300 --seeds 5 --html s56.html"
    })
final class PaperCommand implements Callable<Integer> {
  @Spec private CommandSpec spec;

  /** Without a subcommand: wrong usage, answered with the help. */
  @Override
  public Integer call() {
    spec.commandLine().usage(spec.commandLine().getErr());
    return Moe.WRONG_USAGE;
  }
}

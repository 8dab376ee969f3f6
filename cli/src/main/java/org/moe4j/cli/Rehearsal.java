package org.moe4j.cli;

import java.io.OutputStream;
import java.io.PrintWriter;
import java.util.List;
import org.moe4j.train.config.TrainingConfig;

/**
 * What a start of the command line goes through, without its output. The launcher runs it once
 * after a build, so that the JVM can archive the classes it loads.
 */
final class Rehearsal {
  private Rehearsal() {}

  /** Goes through the help of every command, a wrong usage and a configuration. */
  public static void main(String[] args) {
    PrintWriter nowhere = StandardStreams.writer(OutputStream.nullOutputStream());
    Moe.run(Moe.COMMANDS, nowhere, nowhere, "--help");
    Moe.run(Moe.COMMANDS, nowhere, nowhere, "no-such-command");
    for (Class<?> command : Moe.COMMANDS) {
      Moe.run(Moe.COMMANDS, nowhere, nowhere, Moe.name(command), "--help");
    }
    nowhere.println(TrainingConfig.defaults().with(List.of("train.steps=1")).toToml());
  }
}

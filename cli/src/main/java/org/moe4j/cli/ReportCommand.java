package org.moe4j.cli;

import java.nio.file.Path;
import java.util.concurrent.Callable;
import org.moe4j.train.report.Report;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** {@code moe report}. */
@Command(
    name = "report",
    description =
        "Write the report of a run anew, from what is in its folder: also of one that still goes"
            + " on.",
    footer = "  moe report runs/first")
final class ReportCommand implements Callable<Integer> {
  @Parameters(paramLabel = "RUN", description = "The run's folder.")
  private Path run;

  @Spec private CommandSpec spec;

  @Override
  public Integer call() {
    spec.commandLine().getOut().println(Report.write(run));
    return Moe.DONE;
  }
}

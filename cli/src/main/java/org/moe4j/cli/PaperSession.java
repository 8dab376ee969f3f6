package org.moe4j.cli;

import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.function.Function;
import org.moe4j.lab.Attempt;
import org.moe4j.lab.Experiment;
import org.moe4j.lab.ExperimentPage;
import org.moe4j.lab.IndexPage;
import org.moe4j.lab.Laboratory;
import org.moe4j.lab.Report;

/**
 * Many experiments, one after another. One that fails does not stop the others; after each, its
 * page and the index are whole on the disk.
 */
final class PaperSession {
  private final Function<Experiment, Report> run;
  private final Optional<Path> folder;
  private final PaperDisplay display;
  private final PrintWriter err;
  private final List<Attempt> attempts = new ArrayList<>();

  /**
   * A session.
   *
   * @param run runs one experiment
   * @param folder of the pages, if they are wanted
   */
  PaperSession(
      Function<Experiment, Report> run,
      Optional<Path> folder,
      PaperDisplay display,
      PrintWriter err) {
    this.run = run;
    this.folder = folder;
    this.display = display;
    this.err = err;
  }

  /** The index of the pages. */
  static Path index(Path folder) {
    return folder.resolve("index.html");
  }

  /** What has been tried. */
  List<Attempt> attempts() {
    return List.copyOf(attempts);
  }

  /** Runs all; returns whether nobody stopped it. */
  boolean run(List<Experiment> experiments) {
    for (Experiment experiment : experiments) {
      display.begin(experiment, attempts.size() + 1, experiments.size());
      try {
        attempts.add(attempt(experiment));
      } catch (Laboratory.Stopped e) {
        display.clear();
        return false;
      }
      folder.ifPresent(f -> IndexPage.write(index(f), attempts));
    }
    return true;
  }

  private Attempt attempt(Experiment experiment) {
    try {
      Report report = run.apply(experiment);
      folder.ifPresent(f -> ExperimentPage.write(f.resolve(experiment.id() + ".html"), report));
      return new Attempt.Done(report);
    } catch (Laboratory.Stopped | StandardStreams.OutputLost e) {
      throw e;
    } catch (RuntimeException | OutOfMemoryError e) {
      display.clear();
      String reason = Failure.describe(e);
      err.println("moe: " + experiment.id() + " failed: " + reason);
      err.flush();
      return new Attempt.Failed(experiment, reason);
    }
  }
}

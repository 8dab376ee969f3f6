package org.moe4j.cli;

import java.io.PrintWriter;
import java.util.Locale;
import org.moe4j.lab.ExperimentListener;

/** The progress of an experiment: one line that is written anew, or a line a stage. */
final class PaperDisplay implements ExperimentListener {
  private static final long PAUSE = 200_000_000L;

  private final PrintWriter err;
  private final boolean watched;
  private long last;

  PaperDisplay(PrintWriter err, boolean watched) {
    this.err = err;
    this.watched = watched;
  }

  @Override
  public void stage(String what) {
    if (watched) {
      err.printf("\r\033[K%s", what);
    } else {
      err.println(what);
    }
    err.flush();
  }

  @Override
  public void step(String arm, long seed, int step, int steps, double loss, double share) {
    boolean end = step == steps;
    if (watched && (end || System.nanoTime() - last > PAUSE)) {
      last = System.nanoTime();
      String line =
          String.format(
              Locale.ROOT,
              "%3.0f %%  seed %d, %s: step %d of %d, loss %.3f",
              100 * share,
              seed,
              arm,
              step,
              steps,
              loss);
      err.printf("\r\033[K%s", share >= 1 - 1e-9 ? "" : line);
      err.flush();
    } else if (!watched && end) {
      err.printf(Locale.ROOT, "seed %d, %s: loss %.3f after %d steps%n", seed, arm, loss, steps);
      err.flush();
    }
  }
}

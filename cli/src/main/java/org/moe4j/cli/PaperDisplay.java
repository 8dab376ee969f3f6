package org.moe4j.cli;

import java.io.PrintWriter;
import java.util.Locale;
import org.moe4j.lab.Experiment;
import org.moe4j.lab.ExperimentListener;
import org.moe4j.train.report.Numbers;

/** The progress of experiments: one line that is written anew, or a line a run. */
final class PaperDisplay implements ExperimentListener {
  private static final long PAUSE = 200_000_000L;

  private final PrintWriter err;
  private final boolean watched;
  private String name = "";
  private long begin;
  private double beginShare;
  private long last;

  PaperDisplay(PrintWriter err, boolean watched) {
    this.err = err;
    this.watched = watched;
  }

  /** What is reported from now on is of {@code experiment}, the {@code at}th of {@code all}. */
  void begin(Experiment experiment, int at, int all) {
    name = experiment.id() + (all > 1 ? " (%d of %d)".formatted(at, all) : "");
    begin = 0;
  }

  @Override
  public void stage(String what) {
    if (watched) {
      err.printf("\r\033[K%s: %s", name, what);
    } else {
      err.println(name + ": " + what);
    }
    err.flush();
  }

  @Override
  public void step(String arm, long seed, int step, int steps, double loss, double share) {
    if (begin == 0) {
      // The first step is slower than all others, so the clock starts behind it.
      begin = System.nanoTime();
      beginShare = share;
    }
    boolean end = step == steps;
    if (watched && (end || System.nanoTime() - last > PAUSE)) {
      last = System.nanoTime();
      String line =
          String.format(
              Locale.ROOT,
              "%s %3.0f %%, %s left  seed %d, %s: step %d of %d, loss %.3f",
              name,
              100 * share,
              left(share),
              seed,
              arm,
              step,
              steps,
              loss);
      err.printf("\r\033[K%s", share >= 1 - 1e-9 ? "" : line);
      err.flush();
    } else if (!watched && end) {
      err.printf(
          Locale.ROOT,
          "%s: seed %d, %s: loss %.3f after %d steps, %s left%n",
          name,
          seed,
          arm,
          loss,
          steps,
          left(share));
      err.flush();
    }
  }

  private String left(double share) {
    double done = share - beginShare;
    double seconds = (System.nanoTime() - begin) * 1e-9;
    return done > 0 ? Numbers.duration(seconds * Math.max(0, 1 - share) / done) : "?";
  }

  /** Makes room for a line of its own. */
  void clear() {
    if (watched) {
      err.print("\r\033[K");
      err.flush();
    }
  }
}

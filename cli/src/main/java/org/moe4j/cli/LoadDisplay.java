package org.moe4j.cli;

import java.io.PrintWriter;
import org.moe4j.models.hf.LoadProgress;

/** Shows someone at a terminal how far the reading of a large model is; else says nothing. */
final class LoadDisplay implements LoadProgress, AutoCloseable {
  /** Less is read before anybody wonders. */
  private static final long LARGE = 1_000_000_000;

  private final BytesDisplay display;
  private final boolean watched;

  LoadDisplay(PrintWriter err) {
    this(err, Terminal.watched());
  }

  LoadDisplay(PrintWriter err, boolean watched) {
    this.display = new BytesDisplay("reading", err);
    this.watched = watched;
  }

  @Override
  public void at(long done, long total) {
    if (watched && total >= LARGE) {
      display.at(done, total);
      if (done == total) {
        close();
      }
    }
  }

  @Override
  public void close() {
    display.close();
  }
}

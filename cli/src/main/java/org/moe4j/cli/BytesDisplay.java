package org.moe4j.cli;

import java.io.PrintWriter;
import java.util.Locale;
import me.tongfei.progressbar.ConsoleProgressBarConsumer;
import me.tongfei.progressbar.ProgressBar;
import me.tongfei.progressbar.ProgressBarBuilder;
import org.jspecify.annotations.Nullable;
import org.moe4j.models.hf.LoadProgress;

/** Shows how far reading or writing is: a bar for a person, a line now and then for a log. */
final class BytesDisplay implements LoadProgress, AutoCloseable {
  private static final long LINE_EVERY_NANOS = 10_000_000_000L;
  private static final long MB = 1_000_000;

  private final String task;
  private final PrintWriter err;
  private final boolean watched = Terminal.watched();
  private long lastLine = System.nanoTime();
  private @Nullable ProgressBar bar;

  /** Shows {@code task} to whoever reads {@code err}; a bar goes to standard error. */
  BytesDisplay(String task, PrintWriter err) {
    this.task = task;
    this.err = err;
  }

  @Override
  public void at(long done, long total) {
    if (watched) {
      ProgressBar shown = bar;
      if (shown == null) {
        shown =
            new ProgressBarBuilder()
                .setTaskName(task)
                .setUnit(" MB", MB)
                .setInitialMax(total)
                .setUpdateIntervalMillis(500)
                .setConsumer(new ConsoleProgressBarConsumer(System.err))
                .build();
        bar = shown;
      }
      shown.stepTo(done);
    } else if (System.nanoTime() - lastLine > LINE_EVERY_NANOS) {
      lastLine = System.nanoTime();
      err.printf(Locale.ROOT, "%s %,d of %,d MB%n", task, done / MB, total / MB);
      err.flush();
    }
  }

  @Override
  public void close() {
    if (bar != null) {
      bar.close();
      bar = null;
    }
  }
}

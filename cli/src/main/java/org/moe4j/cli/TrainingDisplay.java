package org.moe4j.cli;

import java.io.PrintWriter;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.Locale;
import me.tongfei.progressbar.ConsoleProgressBarConsumer;
import me.tongfei.progressbar.ProgressBar;
import me.tongfei.progressbar.ProgressBarBuilder;
import org.jspecify.annotations.Nullable;
import org.moe4j.RoutingStats;
import org.moe4j.train.StepResult;
import org.moe4j.train.Summary;
import org.moe4j.train.Trainer;
import org.moe4j.train.TrainingListener;

/** Shows how training goes: a progress bar for a person, a line now and then for a log. */
final class TrainingDisplay implements TrainingListener {
  private static final int AVERAGED_STEPS = 20;
  private static final long LINE_EVERY_NANOS = 10_000_000_000L;

  private final PrintWriter err;
  private final boolean bar;
  private final Deque<StepResult> recent = new ArrayDeque<>();
  private @Nullable ProgressBar progress;
  private long steps;
  private long lastLine = System.nanoTime();

  /** Writes to {@code err}; with {@code bar}, a progress bar goes to standard error. */
  TrainingDisplay(PrintWriter err, boolean bar) {
    this.err = err;
    this.bar = bar;
  }

  @Override
  public void stage(String what) {
    line(what + " ...");
  }

  @Override
  public void warning(String what) {
    line("warning: " + what);
  }

  @Override
  public void begin(Path folder, long done, long steps) {
    this.steps = steps;
    line(
        done == 0
            ? "training in " + folder
            : "going on with " + folder + " after step " + done);
    if (bar) {
      progress =
          new ProgressBarBuilder()
              .setTaskName("training")
              .setInitialMax(steps)
              .startsFrom(done, Duration.ZERO)
              .setUpdateIntervalMillis(500)
              .setConsumer(new ConsoleProgressBarConsumer(System.err))
              .build();
    }
  }

  @Override
  public void step(StepResult result) {
    recent.addLast(result);
    if (recent.size() > AVERAGED_STEPS) {
      recent.removeFirst();
    }
    if (progress != null) {
      progress.stepTo(result.step());
      progress.setExtraMessage(" " + state());
    } else if (result.step() == steps || System.nanoTime() - lastLine > LINE_EVERY_NANOS) {
      lastLine = System.nanoTime();
      line("step %d/%d  %s  %s left".formatted(result.step(), steps, state(), left(result)));
    }
    if (result.skipped()) {
      line("step " + result.step() + ": loss or gradients are not finite, nothing updated");
    }
  }

  private String state() {
    double loss = recent.stream().mapToDouble(StepResult::loss).average().orElse(0);
    double imbalance =
        recent.getLast().routing().stream().mapToDouble(RoutingStats::imbalance).max().orElse(1);
    return String.format(
        Locale.ROOT, "loss %.3f  %,.0f tokens/s  load max/mean %.2f", loss, speed(), imbalance);
  }

  private double speed() {
    double seconds = recent.stream().mapToDouble(StepResult::seconds).sum();
    return recent.stream().mapToLong(StepResult::tokens).sum() / seconds;
  }

  private String left(StepResult result) {
    double perStep = recent.stream().mapToDouble(StepResult::seconds).average().orElse(0);
    long seconds = Math.round(perStep * (steps - result.step()));
    return seconds < 120 ? seconds + " s" : seconds / 60 + " min";
  }

  @Override
  public void validated(long step, Trainer.Validation v) {
    line(
        String.format(
            Locale.ROOT,
            "step %d: validation loss %.3f, %.3f bits per byte",
            step,
            v.loss(),
            v.bitsPerByte()));
  }

  @Override
  public void sample(long step, Summary.Sample sample) {
    line("step " + step + ": " + Failure.oneLine(sample.prompt() + sample.text()));
  }

  @Override
  public void end() {
    if (progress != null) {
      progress.close();
      progress = null;
    }
  }

  /** A line of its own; the bar draws itself anew below. */
  private void line(String text) {
    err.println(progress == null ? text : "\r\033[K" + text);
  }
}

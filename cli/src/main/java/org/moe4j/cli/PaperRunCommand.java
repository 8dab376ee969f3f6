package org.moe4j.cli;

import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.concurrent.Callable;
import java.util.function.Function;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;
import org.moe4j.lab.Attempt;
import org.moe4j.lab.Bench;
import org.moe4j.lab.Experiment;
import org.moe4j.lab.ExperimentPage;
import org.moe4j.lab.IndexPage;
import org.moe4j.lab.Laboratory;
import org.moe4j.lab.Report;
import org.moe4j.lab.papers.Experiments;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.Ops;
import picocli.CommandLine.Command;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;
import picocli.CommandLine.TypeConversionException;

/** {@code moe paper run}. */
@Command(
    name = "run",
    description = {
      "Run the experiment of a paper: its system against a baseline, with several seeds.",
      "The verdict is computed; the exit status is 0 whatever it is, and 1 if a run failed."
    },
    footer = {
      "  moe paper run S56",
      "  moe paper run S56 --html s56.html",
      "  moe paper run S36 --budget 10m --seeds 5",
      "  moe paper run --all --html papers/"
    })
final class PaperRunCommand implements Callable<Integer> {
  @Parameters(arity = "0..1", paramLabel = "ID", description = "The paper, S01 to S60.")
  private @Nullable String id;

  @Option(
      names = "--all",
      description = "Run every experiment, also if some fail; --html names a folder.")
  private boolean all;

  @Option(
      names = "--budget",
      paramLabel = "TIME",
      converter = Seconds.class,
      description = "Time for all arms and seeds, as in 90s or 5m (default: the experiment's own).")
  private @Nullable Double budget;

  @Option(
      names = "--seeds",
      paramLabel = "N",
      description = "Runs of each arm (default: the experiment's own).")
  private @Nullable Integer seeds;

  @Option(
      names = "--steps",
      paramLabel = "N",
      description = "Steps of each run, in place of what fits into the budget.")
  private @Nullable Integer steps;

  @Mixin private DeviceOption device;

  @Option(
      names = "--html",
      paramLabel = "OUT",
      description = "Write a page with all charts; with --all a folder of pages.")
  private @Nullable Path html;

  @Option(names = "--json", description = "Print the results as one JSON document.")
  private boolean json;

  @Spec private CommandSpec spec;

  /** A span of time in seconds: 90, 90s, 5m. */
  static final class Seconds implements ITypeConverter<Double> {
    private static final Pattern FORM = Pattern.compile("(\\d{1,6}(?:\\.\\d{1,6})?)(s|m|min|)");

    @Override
    public Double convert(String text) {
      Matcher m = FORM.matcher(text);
      if (!m.matches()) {
        throw new TypeConversionException("'" + text + "' is no time such as 90s or 5m");
      }
      return Double.parseDouble(m.group(1)) * (m.group(2).startsWith("m") ? 60 : 1);
    }
  }

  @Override
  public Integer call() {
    if (all == (id != null)) {
      throw new ParameterException(spec.commandLine(), "name one paper, or give --all");
    }
    positive("--budget", budget);
    positive("--seeds", seeds);
    positive("--steps", steps);
    PrintWriter err = spec.commandLine().getErr();
    PaperDisplay display = new PaperDisplay(err, Terminal.watched());
    try (StopSignal stop = new StopSignal()) {
      return id == null ? runAll(display, stop) : runOne(id, display, stop);
    }
  }

  private static void positive(String option, @Nullable Number value) {
    if (value != null && !(value.doubleValue() > 0)) {
      throw new MoeException(option + " must be more than 0");
    }
  }

  private int runOne(String wanted, PaperDisplay display, StopSignal stop) {
    Experiment experiment = Experiments.named(wanted.toUpperCase(Locale.ROOT));
    if (experiment.needsGpu() && !device.isCuda()) {
      throw new MoeException(experiment.id() + ": too large for a processor; --device cuda");
    }
    if (html != null) {
      Writable.checkFile(html);
    }
    display.begin(experiment, 1, 1);
    Report report;
    try {
      report = laboratory(display, stop).apply(experiment);
    } catch (Laboratory.Stopped e) {
      display.clear();
      spec.commandLine().getErr().println("moe: " + e.getMessage() + "; nothing was written");
      return Moe.STOPPED;
    }
    if (html != null) {
      ExperimentPage.write(html, report);
    }
    PrintWriter out = spec.commandLine().getOut();
    if (json) {
      out.println(report.json());
    } else {
      PaperText.print(out, report);
      if (html != null) {
        out.println(html);
      }
    }
    return Moe.DONE;
  }

  private int runAll(PaperDisplay display, StopSignal stop) {
    PrintWriter out = spec.commandLine().getOut();
    PrintWriter err = spec.commandLine().getErr();
    Optional<Path> folder = Optional.ofNullable(html);
    folder.ifPresent(Writable::checkFolder);
    List<Experiment> chosen =
        Experiments.all().stream().filter(e -> !e.needsGpu() || device.isCuda()).toList();
    Function<Experiment, Report> run = laboratory(display, stop);
    PaperSession session =
        new PaperSession(
            experiment -> {
              Report report = run.apply(experiment);
              if (!json) {
                PaperText.print(out, report);
                out.println();
                out.flush();
              }
              return report;
            },
            folder,
            display,
            err);
    boolean whole = session.run(chosen);
    List<Attempt> attempts = session.attempts();
    if (json) {
      out.println(Report.json(attempts));
    } else {
      out.println(IndexPage.summary(attempts));
      folder.filter(f -> !attempts.isEmpty()).map(PaperSession::index).ifPresent(out::println);
    }
    out.flush();
    return ended(attempts, whole, chosen.size());
  }

  private int ended(List<Attempt> attempts, boolean whole, int all) {
    PrintWriter err = spec.commandLine().getErr();
    if (!whole) {
      err.println("moe: stopped after " + attempts.size() + " of " + all + " experiments");
      return Moe.STOPPED;
    }
    List<String> failed =
        attempts.stream()
            .filter(a -> a instanceof Attempt.Failed)
            .map(a -> a.experiment().id())
            .toList();
    if (!failed.isEmpty()) {
      err.println(
          "moe: "
              + failed.size()
              + " of "
              + all
              + " experiments failed: "
              + String.join(", ", failed)
              + "; run one alone with --debug for the stack trace");
    }
    return failed.isEmpty() ? Moe.DONE : Moe.FAILED;
  }

  private Function<Experiment, Report> laboratory(PaperDisplay display, StopSignal stop) {
    Ops.threads(Runtime.getRuntime().availableProcessors());
    Bench bench = new Bench(device.device());
    Laboratory laboratory = new Laboratory(bench, display, stop);
    return experiment ->
        Report.of(
            experiment,
            laboratory.run(experiment, options(experiment)),
            device.isCuda() ? "cuda" : "cpu, " + Ops.threads() + " threads");
  }

  private Laboratory.Options options(Experiment experiment) {
    return new Laboratory.Options(
        budget == null ? experiment.budget() : budget,
        seeds == null ? experiment.seeds() : seeds,
        steps == null ? OptionalInt.empty() : OptionalInt.of(steps));
  }
}

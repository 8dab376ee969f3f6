package org.moe4j.cli;

import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.OptionalInt;
import java.util.concurrent.Callable;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;
import org.moe4j.lab.Bench;
import org.moe4j.lab.Experiment;
import org.moe4j.lab.ExperimentListener;
import org.moe4j.lab.ExperimentPage;
import org.moe4j.lab.IndexPage;
import org.moe4j.lab.Laboratory;
import org.moe4j.lab.Report;
import org.moe4j.lab.papers.Experiments;
import org.moe4j.tensor.Device;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.Ops;
import org.moe4j.train.config.RunSection;
import picocli.CommandLine.Command;
import picocli.CommandLine.ITypeConverter;
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
      "The verdict is computed; the exit status is 0 whatever it is."
    },
    footer = {
      "  moe paper run S56 --html s56.html",
      "  moe paper run S36 --budget 10m --seeds 5",
      "  moe paper run --all --html papers/"
    })
final class PaperRunCommand implements Callable<Integer> {
  @Parameters(arity = "0..1", paramLabel = "ID", description = "The paper, S01 to S60.")
  private @Nullable String id;

  @Option(
      names = "--all",
      description = "Run every experiment; --html then names a folder, which gets an index.")
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

  @Option(
      names = "--device",
      paramLabel = "D",
      defaultValue = "cpu",
      description = "cpu or cuda (default cpu).")
  private RunSection.Device device;

  @Option(names = "--html", paramLabel = "OUT", description = "Write a page with all charts.")
  private @Nullable Path html;

  @Option(names = "--json", description = "Print the results as one JSON document.")
  private boolean json;

  @Spec private CommandSpec spec;

  /** A span of time in seconds: 90, 90s, 5m. */
  static final class Seconds implements ITypeConverter<Double> {
    private static final Pattern FORM = Pattern.compile("(\\d+(?:\\.\\d+)?)(s|m|min|)");

    @Override
    public Double convert(String text) {
      Matcher m = FORM.matcher(text);
      if (!m.matches() || Double.parseDouble(m.group(1)) == 0) {
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
    if (!all && html != null && Files.isDirectory(html)) {
      throw new MoeException(html + ": a folder; name the file to write");
    }
    List<Experiment> chosen =
        id == null ? Experiments.all() : List.of(Experiments.named(id.toUpperCase(Locale.ROOT)));
    PrintWriter out = spec.commandLine().getOut();
    Ops.threads(Runtime.getRuntime().availableProcessors());
    Bench bench = new Bench(device == RunSection.Device.CUDA ? Device.CUDA : Device.CPU);
    PaperDisplay display = new PaperDisplay(spec.commandLine().getErr(), Terminal.watched());
    List<Report> reports = new ArrayList<>();
    for (Experiment experiment : chosen) {
      if (experiment.needsGpu() && device != RunSection.Device.CUDA) {
        if (!all) {
          throw new MoeException(experiment.id() + ": too large for a processor; --device cuda");
        }
        continue;
      }
      Report report = run(experiment, bench, display);
      reports.add(report);
      write(report);
      if (!json) {
        PaperText.print(out, report);
        out.flush();
      }
    }
    if (json) {
      out.println(all ? Report.json(reports) : reports.getFirst().json());
    }
    if (all && html != null) {
      IndexPage.write(html.resolve("index.html"), reports);
    }
    if (!json && html != null) {
      out.println(all ? html.resolve("index.html") : html);
    }
    return Moe.DONE;
  }

  private Report run(Experiment experiment, Bench bench, ExperimentListener listener) {
    Laboratory.Options usual = Laboratory.Options.of(experiment);
    Laboratory.Options options =
        new Laboratory.Options(
            budget == null ? usual.budget() : budget,
            seeds == null ? usual.seeds() : seeds,
            steps == null ? OptionalInt.empty() : OptionalInt.of(steps));
    return Report.of(
        experiment,
        new Laboratory(bench, listener).run(experiment, options),
        device == RunSection.Device.CUDA ? "cuda" : "cpu, " + Ops.threads() + " threads");
  }

  private void write(Report report) {
    if (html == null) {
      return;
    }
    if (all) {
      ExperimentPage.write(html.resolve(report.experiment().id() + ".html"), report);
    } else {
      ExperimentPage.write(html, report);
    }
  }
}

package org.moe4j.cli;

import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import org.moe4j.tensor.MoeException;
import org.moe4j.train.Summary;
import org.moe4j.train.TrainingRun;
import org.moe4j.train.config.TrainingConfig;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** {@code moe train}. */
@Command(
    name = "train",
    description = {
      "Train a Mixture-of-Experts language model.",
      "Without CONFIG.toml: a small one on the embedded corpus, in a few minutes."
    },
    footer = {
      "  moe train",
      "  moe train --print-config > my.toml",
      "  moe train my.toml --set train.steps=1000 --set run.name=first",
      "  moe train --set data.source=texts/ --set moe.experts=8",
      "  moe train --resume runs/first"
    })
final class TrainCommand implements Callable<Integer> {
  @Parameters(
      arity = "0..1",
      paramLabel = "CONFIG.toml",
      description = "The configuration; what it leaves out has the defaults of --print-config.")
  private @Nullable Path file;

  @Option(
      names = "--set",
      paramLabel = "KEY=VALUE",
      description = "Replace one value of the configuration, as in train.steps=100. Repeatable.")
  private List<String> overrides = new ArrayList<>();

  @Option(
      names = "--resume",
      arity = "0..1",
      fallbackValue = "",
      paramLabel = "RUN",
      description =
          "Go on with a run, by folder or name; without RUN with that of CONFIG.toml or --set"
              + " run.name, else with the last one that has not ended.")
  private @Nullable String resume;

  @Option(
      names = "--print-config",
      description = "Print the whole configuration with every key explained, and end.")
  private boolean printConfig;

  @Option(names = "--json", description = "Print the result as one JSON document.")
  private boolean json;

  @Spec private CommandSpec spec;

  @Override
  public Integer call() {
    PrintWriter out = spec.commandLine().getOut();
    PrintWriter err = spec.commandLine().getErr();
    TrainingConfig config =
        file == null
            ? TrainingConfig.defaults().with(overrides)
            : TrainingConfig.read(file, overrides);
    if (printConfig) {
      out.print(config.toToml());
      return Moe.DONE;
    }
    TrainingDisplay display = new TrainingDisplay(err, Terminal.watched());
    TrainingRun.Outcome outcome;
    try (StopSignal stop = new StopSignal()) {
      outcome =
          resume == null
              ? TrainingRun.start(config, display, stop)
              : TrainingRun.resume(resumed(config, resume), overrides, display, stop);
    }
    print(outcome, out);
    return Moe.DONE;
  }

  private Path resumed(TrainingConfig config, String run) {
    Path runs = config.run().dir();
    if (!run.isEmpty()) {
      Path folder = Path.of(run);
      return Files.exists(folder) ? folder : runs.resolve(run);
    }
    if (config.run().name().isPresent()) {
      return config.run().folder();
    }
    return TrainingRun.unfinished(runs)
        .orElseThrow(
            () ->
                new MoeException(
                    runs + ": no unfinished run to resume; name one with --resume RUN"));
  }

  private void print(TrainingRun.Outcome outcome, PrintWriter out) {
    String how = "moe train --resume " + outcome.folder();
    if (outcome.summary().isEmpty()) {
      if (json) {
        Documents.print(
            out,
            node ->
                node.put("run", outcome.folder().toString())
                    .put("stopped_after_step", outcome.steps())
                    .put("resume", how));
      } else {
        out.println("stopped after step " + outcome.steps() + "; go on with: " + how);
      }
      return;
    }
    Summary summary = outcome.summary().get();
    if (json) {
      Documents.print(out, summary::writeTo);
    } else {
      text(summary, out);
    }
  }

  private static void text(Summary s, PrintWriter out) {
    out.printf(
        Locale.ROOT,
        "%nvalidation  %.3f bits per byte   (order-0 bytes %.3f, order-2 bytes %.3f)%n",
        s.valBpb(),
        s.order0Bpb(),
        s.order2Bpb());
    out.printf(
        Locale.ROOT,
        "parameters  %,d, of which a token meets %,d%n",
        s.paramsTotal(),
        s.paramsActive());
    out.printf(
        Locale.ROOT,
        "work        %,d steps, %,d tokens, %,.0f tokens/s, %.0f s in all%n",
        s.steps(),
        s.tokens(),
        s.tokensPerSecond(),
        s.seconds());
    if (!s.samples().isEmpty()) {
      out.println("samples     (prompt | continuation)");
      s.samples()
          .forEach(
              p ->
                  out.println(
                      "  " + Failure.oneLine(p.prompt()) + " | " + Failure.oneLine(p.text())));
    }
    out.println("files       " + s.run());
    out.println(
        "  the model   " + s.model() + "  (try: moe generate " + s.run() + " --prompt ...)");
    out.println("  the report  " + s.run().resolve("report.html"));
    out.println("  the figures " + s.run().resolve("summary.json"));
  }
}

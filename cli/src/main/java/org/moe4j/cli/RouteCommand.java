package org.moe4j.cli;

import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import org.moe4j.tensor.MoeException;
import org.moe4j.train.Loading;
import org.moe4j.train.route.RoutePage;
import org.moe4j.train.route.RoutingDocument;
import org.moe4j.train.route.RoutingFindings;
import org.moe4j.train.route.RoutingStudy;
import org.moe4j.train.route.TextInput;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** {@code moe route}. */
@Command(
    name = "route",
    description =
        "Show who goes where: which expert of which layer takes which part of a text, how evenly,"
            + " how surely, and how it differs between domains.",
    footer = {
      "  moe route runs/first --text notes.txt",
      "  moe route runs/first --text news.txt --text code.txt --html route.html",
      "  moe route MODEL --text posts.parquet --text-field body --domain-field topic --json"
    })
final class RouteCommand implements Callable<Integer> {
  @Parameters(
      paramLabel = "MODEL",
      description = "A model's folder, a run's folder, or a checkpoint.")
  private Path model;

  @Option(
      names = "--text",
      required = true,
      paramLabel = "FILE",
      description =
          "Plain text, JSON lines, CSV or Parquet, or a folder of such; may be given several"
              + " times.")
  private List<Path> text;

  @Option(
      names = "--domains",
      split = ",",
      paramLabel = "NAME",
      description =
          "A domain for each --text, in order; otherwise a table's domain field or the file's"
              + " name.")
  private List<String> domains = new ArrayList<>();

  @Option(
      names = "--text-field",
      paramLabel = "F",
      defaultValue = "text",
      description = "The field of a table that holds the text (default text).")
  private String textField;

  @Option(
      names = "--domain-field",
      paramLabel = "F",
      description = "The field of a table that holds the domain (default domain, if there is one).")
  private @Nullable String domainField;

  @Option(
      names = "--max-tokens",
      paramLabel = "N",
      defaultValue = "100000",
      description =
          "The most tokens to read, the first ones of each --text; 0 reads all (default"
              + " ${DEFAULT-VALUE}).")
  private long maxTokens;

  @Option(
      names = "--context",
      paramLabel = "N",
      description = "Tokens that the model reads at once (default: all it can, up to 2048).")
  private @Nullable Integer context;

  @Mixin private DeviceOption device;

  @Option(names = "--html", paramLabel = "OUT", description = "Write a page with all charts.")
  private @Nullable Path html;

  @Option(names = "--json", description = "Print all figures as one JSON document.")
  private boolean json;

  @Spec private CommandSpec spec;

  @Override
  public Integer call() {
    PrintWriter out = spec.commandLine().getOut();
    if (html != null && Files.isDirectory(html)) {
      throw new MoeException(html + ": a folder; name the file to write");
    }
    OptionalInt length = context == null ? OptionalInt.empty() : OptionalInt.of(context);
    TextInput input = new TextInput(text, domains, textField, Optional.ofNullable(domainField));
    RoutingStudy.Options options = new RoutingStudy.Options(length, maxTokens);
    RoutingFindings findings;
    try (LoadDisplay display = new LoadDisplay(spec.commandLine().getErr())) {
      Loading how = Loading.on(device.device()).telling(display);
      findings = RoutingStudy.run(model, how, input, options, progress());
    }
    if (html != null) {
      RoutePage.write(html, findings);
    }
    if (json) {
      out.println(RoutingDocument.json(findings));
    } else if (html != null) {
      out.println(html);
    } else {
      RouteText.print(out, findings);
    }
    return Moe.DONE;
  }

  /** One line that is written anew, for a person only. */
  private RoutingStudy.Progress progress() {
    PrintWriter err = spec.commandLine().getErr();
    if (!Terminal.watched()) {
      return (done, total) -> {};
    }
    return (done, total) -> {
      err.printf("\r\033[K%s", done == total ? "" : "%,d of %,d tokens".formatted(done, total));
      err.flush();
    };
  }
}

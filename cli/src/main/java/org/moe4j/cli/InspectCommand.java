package org.moe4j.cli;

import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.Callable;
import org.moe4j.models.hf.EncoderDecoderInspection;
import org.moe4j.models.hf.HfEncoderDecoder;
import org.moe4j.train.Inspection;
import org.moe4j.train.LanguageModel;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** {@code moe inspect}. */
@Command(
    name = "inspect",
    description = "Show what a model is made of: parameters, layers, experts, routing, bytes.",
    footer = {"  moe inspect runs/first", "  moe inspect runs/first/model --json"})
final class InspectCommand implements Callable<Integer> {
  @Parameters(
      paramLabel = "MODEL",
      description = "A model's folder, a run's folder, or a checkpoint.")
  private Path model;

  @Option(names = "--json", description = "Print the result as one JSON document.")
  private boolean json;

  @Spec private CommandSpec spec;

  @Override
  public Integer call() {
    PrintWriter out = spec.commandLine().getOut();
    Path folder = LanguageModel.folder(model);
    if (HfEncoderDecoder.serves(folder)) {
      EncoderDecoderInspection seen = HfEncoderDecoder.inspect(folder);
      if (json) {
        Documents.print(out, node -> EncoderDecoderText.json(seen, node));
      } else {
        EncoderDecoderText.text(seen, out);
      }
      return Moe.DONE;
    }
    Inspection inspection = Inspection.of(model);
    if (json) {
      Documents.print(out, inspection::writeTo);
    } else {
      text(inspection, out);
    }
    return Moe.DONE;
  }

  private static void text(Inspection i, PrintWriter out) {
    out.printf(Locale.ROOT, "model       %s (%s, %s)%n", i.folder(), i.layout(), i.dtype());
    out.printf(
        Locale.ROOT,
        "parameters  %,d, of which a token meets %,d%n",
        i.paramsTotal(),
        i.paramsActive());
    out.printf(
        Locale.ROOT,
        "decoder     %d layers, width %d, %d heads (%d of keys and values), %d tokens, up to %d"
            + " positions%n",
        i.layers(),
        i.hidden(),
        i.heads(),
        i.kvHeads(),
        i.vocab(),
        i.maxPositions());
    for (Inspection.Sparse s : i.sparse()) {
      out.printf(
          Locale.ROOT,
          "experts     layers %s: top %d of %d, width %d, %s; router %s (%s)%n",
          s.layers(),
          s.topK(),
          s.experts(),
          s.expertWidth(),
          s.sharedWidth() == 0 ? "none shared" : "shared width " + s.sharedWidth(),
          s.router(),
          s.gating());
    }
    for (Map.Entry<String, Long> e : i.bytes().entrySet()) {
      out.printf(Locale.ROOT, "bytes       %-16s %,15d%n", e.getKey(), e.getValue());
    }
  }
}

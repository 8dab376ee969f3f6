package org.moe4j.cli;

import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.concurrent.Callable;
import org.moe4j.models.hf.EncoderDecoderInspection;
import org.moe4j.models.hf.HfEncoderDecoder;
import org.moe4j.train.LanguageModel;
import org.moe4j.train.inspect.Inspection;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** {@code moe inspect}. */
@Command(
    name = "inspect",
    description = {
      "Show what a model is made of: parameters, attention, experts, routing, bytes.",
      "Only its config.json and the headers of its files are read, whatever its size; of a GGUF",
      "file, or the first of its shards, the headers too."
    },
    footer = {
      "  moe inspect runs/first",
      "  moe inspect models/DeepSeek-V3 --json",
      "  moe inspect OLMoE-1B-7B-Q4_0.gguf"
    })
final class InspectCommand implements Callable<Integer> {
  @Parameters(
      paramLabel = "MODEL",
      description = "A model's folder, a run's folder, a checkpoint, or a GGUF file.")
  private Path model;

  @Option(names = "--json", description = "Print the result as one JSON document.")
  private boolean json;

  @Spec private CommandSpec spec;

  @Override
  public Integer call() {
    PrintWriter out = spec.commandLine().getOut();
    if (EngineFlags.serve(model)) {
      GgufInspection seen = GgufInspection.of(model);
      if (json) {
        Documents.print(out, seen::writeTo);
      } else {
        seen.print(out);
      }
      return Moe.DONE;
    }
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
      DecoderText.text(inspection, out);
    }
    return Moe.DONE;
  }
}

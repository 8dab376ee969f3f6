package org.moe4j.cli;

import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.concurrent.Callable;
import java.util.function.IntFunction;
import org.moe4j.engine.Engine;
import org.moe4j.engine.EngineException;
import org.moe4j.models.Tokenizer;
import org.moe4j.tensor.MoeException;
import org.moe4j.train.LanguageModel;
import org.moe4j.train.Loading;
import org.moe4j.train.ModelLogits;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** {@code moe logits}. */
@Command(
    name = "logits",
    description = {
      "Show what a model expects behind each of the given tokens: the likeliest with their logits.",
      "With --json all logits, one list for each position.",
      "An encoder-decoder reads --ids with its encoder and --decoder-ids with its decoder."
    },
    footer = {
      "  moe logits runs/first --ids 1,5,7",
      "  moe logits models/OLMoE-1B-7B --ids 1,5,7 --dtype bf16 --json > logits.json",
      "  moe logits OLMoE-1B-7B-Q4_0.gguf --ids 1,5,7",
      "  moe logits models/switch-base-8 --ids 71,32099,1 --decoder-ids 0,32099"
    })
final class LogitsCommand implements Callable<Integer> {
  private static final int SHOWN = 5;

  @Parameters(
      paramLabel = "MODEL",
      description = "A model's folder, a run's folder, a checkpoint, or a GGUF file.")
  private Path model;

  @Option(
      names = "--ids",
      required = true,
      split = ",",
      paramLabel = "ID",
      description = "The tokens that the model reads.")
  private List<Integer> ids;

  @Option(
      names = "--decoder-ids",
      split = ",",
      paramLabel = "ID",
      description =
          "Of an encoder-decoder: the tokens its decoder reads (default: the one that begins an"
              + " answer).")
  private List<Integer> decoderIds = List.of();

  @Option(names = "--json", description = "Print {\"logits\": [[...]]} as one JSON document.")
  private boolean json;

  @Mixin private EngineFlags engine;
  @Mixin private Placement placement;
  @Mixin private ExpertsMemory expertsMemory;
  @Spec private CommandSpec spec;

  @Override
  public Integer call() {
    PrintWriter out = spec.commandLine().getOut();
    if (EngineFlags.serve(model)) {
      return gguf(out);
    }
    engine.refuseFor(model);
    Path folder = LanguageModel.folder(model);
    ModelLogits made = made(folder);
    if (json) {
      print(made.logits(), out);
      return Moe.DONE;
    }
    Optional<Tokenizer> tokenizer = LanguageModel.tokenizer(folder);
    try {
      table(
          made.read(),
          made.logits(),
          id -> tokenizer.filter(t -> id < t.vocabSize()).map(t -> t.spell(id)),
          out);
    } finally {
      tokenizer.ifPresent(Tokenizer::close);
    }
    return Moe.DONE;
  }

  private int gguf(PrintWriter out) {
    placement.refuseFor(model);
    expertsMemory.refuseFor(model);
    if (!decoderIds.isEmpty()) {
      throw new MoeException(
          model + ": --decoder-ids is for encoder-decoder models, which this is not");
    }
    try (Engine opened = engine.open(model)) {
      int[] read = ids.stream().mapToInt(Integer::intValue).toArray();
      float[][] logits = opened.step(List.of(new Engine.Addition(opened.sequence(), read, true)));
      if (json) {
        print(logits, out);
      } else {
        table(ids, logits, id -> spelt(opened, id), out);
      }
    }
    return Moe.DONE;
  }

  /** How a token looks; a file without a tokenizer that is known has logits all the same. */
  private static Optional<String> spelt(Engine engine, int id) {
    try {
      return Optional.of(engine.tokenizer().spell(id)).filter(text -> !text.isEmpty());
    } catch (EngineException e) {
      return Optional.empty();
    }
  }

  private ModelLogits made(Path folder) {
    try (LoadDisplay display = new LoadDisplay(spec.commandLine().getErr())) {
      Loading how = expertsMemory.of(placement.loading(display));
      return ModelLogits.of(folder, ids, decoderIds, how);
    }
  }

  /** Written as it goes: a document of all numbers would take many times their memory. */
  private static void print(float[][] logits, PrintWriter out) {
    out.print("{\"logits\": [");
    for (int s = 0; s < logits.length; s++) {
      out.print(s == 0 ? "\n[" : ",\n[");
      for (int v = 0; v < logits[s].length; v++) {
        if (!Float.isFinite(logits[s][v])) {
          throw new MoeException(
              "the logit of token " + v + " at position " + s + " is " + logits[s][v]);
        }
        out.print(v == 0 ? "" : ", ");
        out.print(logits[s][v]);
      }
      out.print("]");
    }
    out.println("\n]}");
  }

  private static void table(
      List<Integer> ids,
      float[][] logits,
      IntFunction<Optional<String>> spelling,
      PrintWriter out) {
    TextTable table = new TextTable(8, 24);
    table.row("position", "token", "likeliest next tokens with their logits");
    for (int s = 0; s < logits.length; s++) {
      List<String> best = new ArrayList<>();
      for (int id : best(logits[s])) {
        best.add(
            shown(id, spelling)
                + String.format(Locale.ROOT, "%c%.3f", TextTable.NO_BREAK, logits[s][id]));
      }
      table.row(String.valueOf(s), shown(ids.get(s), spelling), String.join("  ", best));
    }
    table.print(out, 0);
  }

  private static List<Integer> best(float[] logits) {
    List<Integer> best = new ArrayList<>();
    for (int id = 0; id < logits.length; id++) {
      int at = best.size();
      while (at > 0 && logits[best.get(at - 1)] < logits[id]) {
        at--;
      }
      if (at < SHOWN) {
        best.add(at, id);
        if (best.size() > SHOWN) {
          best.removeLast();
        }
      }
    }
    return best;
  }

  private static String shown(int id, IntFunction<Optional<String>> spelling) {
    return id
        + spelling.apply(id).map(text -> TextTable.NO_BREAK + "'" + oneLine(text) + "'").orElse("");
  }

  private static String oneLine(String text) {
    return text.replace("\n", "\\n").replaceAll("\\p{Cc}", "?").replace(' ', TextTable.NO_BREAK);
  }
}

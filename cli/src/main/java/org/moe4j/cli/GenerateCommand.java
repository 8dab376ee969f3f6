package org.moe4j.cli;

import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.concurrent.Callable;
import java.util.function.Consumer;
import org.moe4j.models.ExpertCache;
import org.moe4j.models.Sampling;
import org.moe4j.tensor.MoeException;
import org.moe4j.train.AnswerModel;
import org.moe4j.train.LanguageModel;
import org.moe4j.train.TextModel;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;
import tools.jackson.databind.node.ObjectNode;

/** {@code moe generate}. */
@Command(
    name = "generate",
    description = {
      "Continue a prompt, or answer it with an encoder-decoder. The text is printed as it comes.",
      "The prompt gets the special tokens that the model's tokenizer.json puts around a text."
    },
    footer = {
      "  moe generate runs/first --prompt \"dog, domestic dog:\"",
      "  moe generate runs/first/model --prompt \"to run\" --temperature 0.8 --seed 7",
      "  moe generate models/switch-c-2048 --prompt \"Moths <extra_id_0>\" --experts-memory 8g"
    })
final class GenerateCommand implements Callable<Integer> {
  @Parameters(
      paramLabel = "MODEL",
      description = "A model's folder, a run's folder, or a checkpoint.")
  private Path model;

  @Option(names = "--prompt", required = true, paramLabel = "TEXT", description = "How it begins.")
  private String prompt;

  @Mixin private SamplingOptions options;
  @Mixin private Placement placement;
  @Mixin private ExpertsMemory expertsMemory;

  @Option(
      names = "--no-cache",
      description = "Compute every token from the whole text anew; slow, to compare.")
  private boolean noCache;

  @Option(names = "--json", description = "Print the text with its figures as one JSON document.")
  private boolean json;

  @Spec private CommandSpec spec;

  @Override
  public Integer call() {
    PrintWriter out = spec.commandLine().getOut();
    Sampling sampling = options.sampling();
    int maxTokens = options.maxTokens();
    if (noCache && !sampling.greedy()) {
      throw new MoeException("--no-cache compares greedy output; leave out --temperature");
    }
    boolean read = Terminal.read();
    Consumer<String> onText =
        json
            ? part -> {}
            : part -> {
              out.print(read ? ModelText.harmless(part) : part);
              out.flush();
            };
    try (TextModel language = open()) {
      long begin = System.nanoTime();
      LanguageModel.Continuation made =
          noCache
              ? language.generateUncached(prompt, maxTokens, onText)
              : language.generate(prompt, maxTokens, sampling, onText);
      double seconds = (System.nanoTime() - begin) * 1e-9;
      if (json) {
        Documents.print(
            out,
            node -> {
              node.put("prompt", prompt)
                  .put("text", made.text())
                  .put("prompt_tokens", made.promptTokens())
                  .put("tokens", made.tokens())
                  .put("seconds", seconds)
                  .put("tokens_per_s", made.tokens() / seconds);
              if (language instanceof AnswerModel answers) {
                answers.experts().ifPresent(stats -> put(stats, node.putObject("experts_memory")));
              }
            });
      } else {
        out.println();
      }
    }
    return Moe.DONE;
  }

  private TextModel open() {
    try (LoadDisplay display = new LoadDisplay(spec.commandLine().getErr())) {
      return TextModel.open(model, expertsMemory.of(placement.loading(display)));
    }
  }

  private static void put(ExpertCache.Stats stats, ObjectNode node) {
    node.put("hits", stats.hits())
        .put("reads", stats.loads())
        .put("bytes_read", stats.bytesLoaded())
        .put("most_bytes", stats.mostBytesHeld());
  }
}

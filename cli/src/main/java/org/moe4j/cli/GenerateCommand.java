package org.moe4j.cli;

import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.function.Consumer;
import org.moe4j.models.Sampling;
import org.moe4j.tensor.MoeException;
import org.moe4j.train.LanguageModel;
import org.moe4j.train.LanguageModel.Continuation;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/** {@code moe generate}. */
@Command(
    name = "generate",
    description = {
      "Continue a prompt. The text is printed as it comes.",
      "Several prompts are continued at once, each as if alone.",
      "The prompt gets the special tokens that the model's tokenizer.json puts around a text."
    },
    footer = {
      "  moe generate runs/first --prompt \"dog, domestic dog:\"",
      "  moe generate runs/first/model --prompt \"to run\" --temperature 0.8 --seed 7",
      "  moe generate runs/first --prompt \"dog:\" --prompt \"cat:\" --json"
    })
final class GenerateCommand implements Callable<Integer> {
  @Parameters(
      paramLabel = "MODEL",
      description = "A model's folder, a run's folder, or a checkpoint.")
  private Path model;

  @Option(
      names = "--prompt",
      required = true,
      paramLabel = "TEXT",
      description = "How it begins; may be given several times.")
  private List<String> prompts;

  @Mixin private SamplingOptions options;
  @Mixin private Placement placement;

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
    try (LanguageModel language =
        LanguageModel.open(model, placement.device(), placement.dtype())) {
      if (prompts.size() == 1) {
        one(language, prompts.getFirst(), maxTokens, sampling, out);
      } else {
        several(language, maxTokens, sampling, out);
      }
    }
    return Moe.DONE;
  }

  private void one(
      LanguageModel language, String prompt, int maxTokens, Sampling sampling, PrintWriter out) {
    Consumer<String> onText =
        json
            ? part -> {}
            : part -> {
              out.print(part);
              out.flush();
            };
    long begin = System.nanoTime();
    Continuation made =
        noCache
            ? language.generateUncached(prompt, maxTokens, onText)
            : language.generate(prompt, maxTokens, sampling, onText);
    double seconds = (System.nanoTime() - begin) * 1e-9;
    if (json) {
      Documents.print(
          out,
          node ->
              result(node, prompt, made)
                  .put("seconds", seconds)
                  .put("tokens_per_s", made.tokens() / seconds));
    } else {
      out.println();
    }
  }

  /** The texts when all are there: each under its prompt, or a list with the figures of all. */
  private void several(
      LanguageModel language, int maxTokens, Sampling sampling, PrintWriter out) {
    long begin = System.nanoTime();
    List<Continuation> made =
        noCache
            ? prompts.stream()
                .map(p -> language.generateUncached(p, maxTokens, part -> {}))
                .toList()
            : language.generate(prompts, maxTokens, sampling);
    double seconds = (System.nanoTime() - begin) * 1e-9;
    if (!json) {
      for (int i = 0; i < made.size(); i++) {
        out.println((i == 0 ? "" : System.lineSeparator()) + prompts.get(i));
        out.println(made.get(i).text());
      }
      return;
    }
    int tokens = made.stream().mapToInt(Continuation::tokens).sum();
    Documents.print(
        out,
        node -> {
          ArrayNode results = node.putArray("results");
          for (int i = 0; i < made.size(); i++) {
            result(results.addObject(), prompts.get(i), made.get(i));
          }
          node.put("tokens", tokens)
              .put("seconds", seconds)
              .put("tokens_per_s", tokens / seconds);
        });
  }

  private static ObjectNode result(ObjectNode node, String prompt, Continuation made) {
    return node.put("prompt", prompt)
        .put("text", made.text())
        .put("prompt_tokens", made.promptTokens())
        .put("tokens", made.tokens());
  }
}

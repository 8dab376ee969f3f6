package org.moe4j.cli;

import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.Callable;
import java.util.function.Consumer;
import org.moe4j.engine.Engine;
import org.moe4j.models.ExpertCache;
import org.moe4j.models.Sampling;
import org.moe4j.tensor.MoeException;
import org.moe4j.train.AnswerModel;
import org.moe4j.train.LanguageModel;
import org.moe4j.train.LanguageModel.Continuation;
import org.moe4j.train.TextModel;
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
      "Continue a prompt, or answer it with an encoder-decoder. The text is printed as it comes.",
      "Several prompts are continued at once, each as if alone.",
      "The prompt gets the special tokens that the model's tokenizer puts around a text.",
      "A GGUF file, or the first of its shards, is run by the engine, which needs no libtorch."
    },
    footer = {
      "  moe generate runs/first --prompt \"dog, domestic dog:\"",
      "  moe generate runs/first/model --prompt \"to run\" --temperature 0.8 --seed 7",
      "  moe generate runs/first --prompt \"dog:\" --prompt \"cat:\" --json",
      "  moe generate OLMoE-1B-7B-Q4_0.gguf --prompt \"A sparse model\" --threads 2",
      "  moe generate model.gguf --prompt \"1. \" --temperature 0.8 --min-p 0.05 --stop \"2.\"",
      "  moe generate models/switch-c-2048 --prompt \"Moths <extra_id_0>\" --experts-memory 8g"
    })
final class GenerateCommand implements Callable<Integer> {
  @Parameters(
      paramLabel = "MODEL",
      description = "A model's folder, a run's folder, a checkpoint, or a GGUF file.")
  private Path model;

  @Option(
      names = "--prompt",
      required = true,
      paramLabel = "TEXT",
      description = "How it begins; may be given several times.")
  private List<String> prompts;

  @Option(
      names = "--logprobs",
      paramLabel = "N",
      description =
          "Of a GGUF file, with --json: the probabilities of the tokens and of the N likeliest.")
  private Optional<Integer> logprobs = Optional.empty();

  @Mixin private SamplingOptions options;
  @Mixin private EngineFlags engine;
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
    if (EngineFlags.serve(model)) {
      return gguf(out);
    }
    engine.refuseFor(model);
    if (logprobs.isPresent()) {
      throw new MoeException(model + ": --logprobs is for GGUF files, which this is not");
    }
    Sampling sampling = options.sampling(model);
    int maxTokens = options.maxTokens();
    if (noCache && !sampling.greedy()) {
      throw new MoeException("--no-cache compares greedy output; leave out --temperature");
    }
    try (TextModel language = open()) {
      if (prompts.size() == 1) {
        one(language, prompts.getFirst(), maxTokens, sampling, out);
      } else {
        several(language, maxTokens, sampling, out);
      }
    }
    return Moe.DONE;
  }

  private int gguf(PrintWriter out) {
    placement.refuseFor(model);
    expertsMemory.refuseFor(model);
    if (noCache) {
      throw new MoeException(model + ": --no-cache is for models in folders, which this is not");
    }
    if (logprobs.isPresent() && !json) {
      throw new MoeException("--logprobs are part of what --json prints; add it");
    }
    var sampling = options.engineSampling().withLogprobs(logprobs.orElse(-1));
    try (Engine opened = engine.open(model)) {
      new GgufText(opened, sampling, json, out).generate(prompts);
    }
    return Moe.DONE;
  }

  private TextModel open() {
    try (LoadDisplay display = new LoadDisplay(spec.commandLine().getErr())) {
      return TextModel.open(model, expertsMemory.of(placement.loading(display)));
    }
  }

  /** Text as a terminal may be shown it. */
  static String shown(String text) {
    return Terminal.read() ? ModelText.harmless(text) : text;
  }

  private void one(
      TextModel language, String prompt, int maxTokens, Sampling sampling, PrintWriter out) {
    Consumer<String> onText =
        json
            ? part -> {}
            : part -> {
              out.print(shown(part));
              out.flush();
            };
    long begin = System.nanoTime();
    Continuation made =
        noCache
            ? language.generateUncached(prompt, maxTokens, onText)
            : language.generate(prompt, maxTokens, sampling, onText);
    double seconds = (System.nanoTime() - begin) * 1e-9;
    if (!json) {
      out.println();
      return;
    }
    Documents.print(
        out,
        node -> {
          result(node, prompt, made)
              .put("seconds", seconds)
              .put("tokens_per_s", made.tokens() / seconds);
          experts(language, node);
        });
  }

  /** The texts when all are there: each under its prompt, or a list with the figures of all. */
  private void several(TextModel language, int maxTokens, Sampling sampling, PrintWriter out) {
    long begin = System.nanoTime();
    List<Continuation> made = all(language, maxTokens, sampling);
    double seconds = (System.nanoTime() - begin) * 1e-9;
    if (!json) {
      for (int i = 0; i < made.size(); i++) {
        out.println((i == 0 ? "" : System.lineSeparator()) + prompts.get(i));
        out.println(shown(made.get(i).text()));
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
          node.put("tokens", tokens).put("seconds", seconds).put("tokens_per_s", tokens / seconds);
          experts(language, node);
        });
  }

  /** Decoders read all prompts at once, encoder-decoders one after the other. */
  private List<Continuation> all(TextModel language, int maxTokens, Sampling sampling) {
    Consumer<String> nowhere = part -> {};
    if (noCache) {
      return prompts.stream().map(p -> language.generateUncached(p, maxTokens, nowhere)).toList();
    }
    return switch (language) {
      case LanguageModel decoder -> decoder.generate(prompts, maxTokens, sampling);
      case AnswerModel answers ->
          prompts.stream().map(p -> answers.generate(p, maxTokens, sampling, nowhere)).toList();
    };
  }

  private static ObjectNode result(ObjectNode node, String prompt, Continuation made) {
    return node.put("prompt", prompt)
        .put("text", made.text())
        .put("prompt_tokens", made.promptTokens())
        .put("tokens", made.tokens());
  }

  /** What reading experts on demand took, if they were. */
  private static void experts(TextModel language, ObjectNode node) {
    if (language instanceof AnswerModel answers) {
      answers.experts().ifPresent(stats -> put(stats, node.putObject("experts_memory")));
    }
  }

  private static void put(ExpertCache.Stats stats, ObjectNode node) {
    node.put("hits", stats.hits())
        .put("reads", stats.loads())
        .put("bytes_read", stats.bytesLoaded())
        .put("most_bytes", stats.mostBytesHeld());
  }
}

package org.moe4j.cli;

import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.concurrent.Callable;
import java.util.function.Consumer;
import org.moe4j.models.Sampling;
import org.moe4j.tensor.Device;
import org.moe4j.tensor.MoeException;
import org.moe4j.train.LanguageModel;
import org.moe4j.train.config.RunSection;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** {@code moe generate}. */
@Command(
    name = "generate",
    description = "Continue a prompt. The text is printed as it comes.",
    footer = {
      "  moe generate runs/first --prompt \"dog, domestic dog:\"",
      "  moe generate runs/first/model --prompt \"to run\" --temperature 0.8 --seed 7"
    })
final class GenerateCommand implements Callable<Integer> {
  @Parameters(
      paramLabel = "MODEL",
      description = "A model's folder, a run's folder, or a checkpoint.")
  private Path model;

  @Option(names = "--prompt", required = true, paramLabel = "TEXT", description = "How it begins.")
  private String prompt;

  @Option(
      names = "--max-tokens",
      paramLabel = "N",
      defaultValue = "128",
      description = "The most new tokens (default ${DEFAULT-VALUE}).")
  private int maxTokens;

  @Option(
      names = "--temperature",
      paramLabel = "T",
      defaultValue = "0",
      description = "0: always the most likely token; higher: more variety (default 0).")
  private double temperature;

  @Option(
      names = "--top-p",
      paramLabel = "P",
      defaultValue = "1",
      description = "Draw from the most likely tokens that together have this probability.")
  private double topP;

  @Option(
      names = "--seed",
      paramLabel = "S",
      defaultValue = "0",
      description = "The same seed draws the same tokens (default 0).")
  private long seed;

  @Option(
      names = "--device",
      paramLabel = "D",
      defaultValue = "cpu",
      description = "cpu or cuda (default cpu).")
  private RunSection.Device device;

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
    Sampling sampling = new Sampling(temperature, 0, topP, seed);
    if (noCache && !sampling.greedy()) {
      throw new MoeException("--no-cache compares greedy output; leave out --temperature");
    }
    if (maxTokens < 1) {
      throw new MoeException("--max-tokens " + maxTokens + ": give at least 1");
    }
    Consumer<String> onText =
        json
            ? part -> {}
            : part -> {
              out.print(part);
              out.flush();
            };
    Device where = device == RunSection.Device.CUDA ? Device.CUDA : Device.CPU;
    try (LanguageModel language = LanguageModel.open(model, where)) {
      long begin = System.nanoTime();
      LanguageModel.Continuation made =
          noCache
              ? language.generateUncached(prompt, maxTokens, onText)
              : language.generate(prompt, maxTokens, sampling, onText);
      double seconds = (System.nanoTime() - begin) * 1e-9;
      if (json) {
        Documents.print(
            out,
            node ->
                node.put("prompt", prompt)
                    .put("text", made.text())
                    .put("prompt_tokens", made.promptTokens())
                    .put("tokens", made.tokens())
                    .put("seconds", seconds)
                    .put("tokens_per_s", made.tokens() / seconds));
      } else {
        out.println();
      }
    }
    return Moe.DONE;
  }
}

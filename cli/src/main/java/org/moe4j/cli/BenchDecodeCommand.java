package org.moe4j.cli;

import java.io.PrintWriter;
import java.util.Locale;
import java.util.concurrent.Callable;
import org.moe4j.tensor.MoeException;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** {@code moe bench decode}. */
@Command(
    name = "decode",
    description = {
      "Time a GGUF file on the engine: a prompt is read, then tokens are written one by one.",
      "Medians of several rounds after rounds that warm up, each with another random prompt."
    },
    footer = "  moe bench decode model.gguf --threads 2 --prompt 256 --tokens 64 --json")
final class BenchDecodeCommand implements Callable<Integer> {
  @Option(
      names = "--tokens",
      paramLabel = "N",
      defaultValue = "64",
      description = "Tokens that are written (default ${DEFAULT-VALUE}).")
  private int tokens;

  @Mixin private BenchModelOptions options;

  @Spec private CommandSpec spec;

  @Override
  public Integer call() {
    PrintWriter out = spec.commandLine().getOut();
    if (tokens < 1) {
      throw new MoeException("--tokens " + tokens + ": give at least 1");
    }
    BenchModelOptions.Measured m = options.measure(tokens);
    if (options.json) {
      Documents.print(
          out,
          node -> {
            node.put("prompt_tok_s", BenchModelOptions.rounded(m.result().promptRate()))
                .put("decode_tok_s", BenchModelOptions.rounded(m.result().decodeRate()))
                .put("tokens", tokens);
            options.put(m, node);
          });
    } else {
      out.printf(
          Locale.ROOT,
          "prompt of %d: %.1f tokens/s, then %.1f tokens/s; %d threads, first token after %.2f s%n",
          options.prompt,
          m.result().promptRate(),
          m.result().decodeRate(),
          m.threads(),
          m.firstTokenSeconds());
    }
    return Moe.DONE;
  }
}

package org.moe4j.cli;

import java.io.PrintWriter;
import java.util.Locale;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Spec;

/** {@code moe bench prefill}. */
@Command(
    name = "prefill",
    description = {
      "Time how a GGUF file's prompts are read on the engine.",
      "The median of several rounds after rounds that warm up, each with another random prompt."
    },
    footer = "  moe bench prefill model.gguf --threads 2 --prompt 2048 --json")
final class BenchPrefillCommand implements Callable<Integer> {
  @Mixin private BenchModelOptions options;

  @Spec private CommandSpec spec;

  @Override
  public Integer call() {
    PrintWriter out = spec.commandLine().getOut();
    BenchModelOptions.Measured m = options.measure(0);
    if (options.json) {
      Documents.print(
          out,
          node -> {
            node.put("prompt_tok_s", BenchModelOptions.rounded(m.result().promptRate()));
            options.put(m, node);
          });
    } else {
      out.printf(
          Locale.ROOT,
          "prompt of %d: %.1f tokens/s; %d threads, first token after %.2f s%n",
          options.prompt,
          m.result().promptRate(),
          m.threads(),
          m.firstTokenSeconds());
    }
    return Moe.DONE;
  }
}

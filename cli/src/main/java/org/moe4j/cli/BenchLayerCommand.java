package org.moe4j.cli;

import java.io.PrintWriter;
import java.util.Locale;
import java.util.concurrent.Callable;
import org.moe4j.Dispatch;
import org.moe4j.tensor.Ops;
import org.moe4j.train.LayerBenchmark;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** {@code moe bench layer}. */
@Command(
    name = "layer",
    description = {
      "Time one sparse layer alone, forward and backward, on random input.",
      "Softmax top-k routing, SwiGLU experts; the median counts, after a warm-up."
    },
    footer = "  moe bench layer --experts 64 --tokens 4096 --json")
final class BenchLayerCommand implements Callable<Integer> {
  @Option(names = "--tokens", defaultValue = "4096", description = "Tokens (${DEFAULT-VALUE}).")
  private int tokens;

  @Option(names = "--hidden", defaultValue = "512", description = "Width (${DEFAULT-VALUE}).")
  private int hidden;

  @Option(
      names = "--ffn",
      defaultValue = "1024",
      description = "Width inside an expert (${DEFAULT-VALUE}).")
  private int ffn;

  @Option(names = "--experts", defaultValue = "16", description = "Experts (${DEFAULT-VALUE}).")
  private int experts;

  @Option(
      names = "--top-k",
      defaultValue = "2",
      description = "Experts of a token (${DEFAULT-VALUE}).")
  private int topK;

  @Option(
      names = "--dispatcher",
      defaultValue = "dropless",
      description = "dropless, buffers or one-hot (${DEFAULT-VALUE}).")
  private String dispatcher;

  @Option(
      names = "--balanced",
      description = "Force an even load, to tell the kernels' speed from skew.")
  private boolean balanced;

  @Mixin private BenchOptions options;

  @Spec private CommandSpec spec;

  @Override
  public Integer call() {
    PrintWriter out = spec.commandLine().getOut();
    options.apply();
    double ms =
        new LayerBenchmark(
                tokens,
                hidden,
                ffn,
                experts,
                topK,
                Dispatch.named(dispatcher),
                balanced,
                options.bf16())
            .run(options.steps);
    double tokensPerSecond = tokens / ms * 1e3;
    if (options.json) {
      Documents.print(
          out,
          node ->
              node.put("ms", ms)
                  .put("tokens_per_s", tokensPerSecond)
                  .put("tokens", tokens)
                  .put("experts", experts)
                  .put("threads", Ops.threads()));
    } else {
      out.printf(Locale.ROOT, "%.1f ms, %,.0f tokens/s%n", ms, tokensPerSecond);
    }
    return Moe.DONE;
  }
}

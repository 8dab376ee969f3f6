package org.moe4j.cli;

import java.io.PrintWriter;
import java.util.Locale;
import java.util.concurrent.Callable;
import org.moe4j.train.TrainingBenchmark;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** {@code moe bench train}. */
@Command(
    name = "train",
    description = {
      "Time one full step of training: forward, loss with balance loss, backward, clip, AdamW.",
      "The model has OLMoE's shape and sees random tokens; the median counts, after a warm-up."
    },
    footer = "  moe bench train --dtype bf16 --threads 2 --json")
final class BenchTrainCommand implements Callable<Integer> {
  @Option(names = "--layers", defaultValue = "4", description = "Layers (${DEFAULT-VALUE}).")
  private int layers;

  @Option(names = "--hidden", defaultValue = "256", description = "Width (${DEFAULT-VALUE}).")
  private int hidden;

  @Option(names = "--heads", defaultValue = "4", description = "Heads (${DEFAULT-VALUE}).")
  private int heads;

  @Option(names = "--experts", defaultValue = "16", description = "Experts (${DEFAULT-VALUE}).")
  private int experts;

  @Option(
      names = "--top-k",
      defaultValue = "2",
      description = "Experts of a token (${DEFAULT-VALUE}).")
  private int topK;

  @Option(
      names = "--ffn",
      defaultValue = "256",
      description = "Width inside an expert (${DEFAULT-VALUE}).")
  private int ffn;

  @Option(names = "--vocab", defaultValue = "4096", description = "Tokens (${DEFAULT-VALUE}).")
  private int vocab;

  @Option(
      names = "--seq",
      defaultValue = "128",
      description = "Tokens of a sequence (${DEFAULT-VALUE}).")
  private int seq;

  @Option(
      names = "--batch",
      defaultValue = "16",
      description = "Sequences of a step (${DEFAULT-VALUE}).")
  private int batch;

  @Mixin private DeviceOption device;

  @Mixin private BenchOptions options;

  @Spec private CommandSpec spec;

  @Override
  public Integer call() {
    PrintWriter out = spec.commandLine().getOut();
    options.apply();
    TrainingBenchmark.Result r =
        new TrainingBenchmark(
                layers,
                hidden,
                heads,
                experts,
                topK,
                ffn,
                vocab,
                seq,
                batch,
                options.bf16(),
                device.device())
            .run(options.steps);
    if (options.json) {
      Documents.print(
          out,
          node ->
              node.put("tokens_per_s", r.tokensPerSecond())
                  .put("ms", r.milliseconds())
                  .put("params", r.parameters())
                  .put("peak_memory_bytes", r.peakMemory())
                  .put("dtype", options.dtype.name().toLowerCase(Locale.ROOT))
                  .put("threads", r.threads())
                  .put("steps", options.steps));
    } else {
      out.printf(
          Locale.ROOT,
          "%,.0f tokens/s, %.1f ms a step, %,d parameters, %s, %d threads, peak memory %,d MiB%n",
          r.tokensPerSecond(),
          r.milliseconds(),
          r.parameters(),
          options.dtype.name().toLowerCase(Locale.ROOT),
          r.threads(),
          r.peakMemory() >> 20);
    }
    return Moe.DONE;
  }
}

package org.moe4j.cli;

import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.concurrent.Callable;
import org.moe4j.engine.EngineOptions;
import org.moe4j.engine.gguf.GgufFile;
import org.moe4j.engine.plan.MemoryPlan;
import org.moe4j.engine.plan.SpeedPlan;
import org.moe4j.tensor.MoeException;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** {@code moe plan}. */
@Command(
    name = "plan",
    description = {
      "Say what of a GGUF file fits into memory, what stays on disk, and how fast that will be.",
      "Only its header is read. The speed of memory and disk is measured for half a second."
    },
    footer = {
      "  moe plan model.gguf --memory 8g",
      "  moe plan model.gguf --memory 4g --context 8192 --json"
    })
final class PlanCommand implements Callable<Integer> {
  @Parameters(paramLabel = "MODEL", description = "A GGUF file.")
  private Path model;

  @Option(
      names = "--memory",
      paramLabel = "SIZE",
      converter = Size.class,
      description = "What the model may take, such as 8g (default: what it needs).")
  private Optional<Long> memory = Optional.empty();

  @Option(
      names = "--context",
      paramLabel = "N",
      description =
          "Tokens to have room for (default: 4096, fewer if they took an eighth of the memory).")
  private Optional<Integer> context = Optional.empty();

  @Option(
      names = "--threads",
      paramLabel = "N",
      description = "How many threads compute (default: one for each core).")
  private Optional<Integer> threads = Optional.empty();

  @Option(
      names = "--bandwidth",
      paramLabel = "SIZE",
      converter = Size.class,
      description = "Bytes of memory read in a second, such as 50g (default: measured).")
  private Optional<Long> bandwidth = Optional.empty();

  @Option(
      names = "--disk-bandwidth",
      paramLabel = "SIZE",
      converter = Size.class,
      description = "Bytes of the disk read in a second, such as 2g (default: measured).")
  private Optional<Long> disk = Optional.empty();

  @Option(names = "--json", description = "Print the plan as one JSON document.")
  private boolean json;

  @Spec private CommandSpec spec;

  @Override
  public Integer call() {
    if (Files.isDirectory(model)) {
      throw new MoeException(
          model + ": a folder; make a GGUF file of it first: moe convert " + model + " model.gguf");
    }
    PrintWriter out = spec.commandLine().getOut();
    try (GgufFile file = GgufFile.open(model)) {
      EngineOptions options = EngineOptions.DEFAULT;
      options = threads.map(options::withThreads).orElse(options);
      options = memory.map(options::withMemory).orElse(options);
      if (context.isPresent()) {
        options = MemoryPlan.withContext(file, options, context.get());
      }
      MemoryPlan plan = MemoryPlan.of(file, options);
      SpeedPlan speed =
          SpeedPlan.of(plan, model, options.threads(), number(bandwidth), number(disk));
      PlanText text = new PlanText(model, file.bytes(), memory, plan, speed);
      if (json) {
        Documents.print(out, text::writeTo);
      } else {
        text.print(out);
      }
    }
    return Moe.DONE;
  }

  private static OptionalDouble number(Optional<Long> value) {
    return value.stream().mapToDouble(Long::doubleValue).findFirst();
  }
}

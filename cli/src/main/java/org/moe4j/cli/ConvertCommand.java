package org.moe4j.cli;

import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.Locale;
import java.util.Optional;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import org.moe4j.models.hf.Conversion;
import org.moe4j.models.hf.ExpertLayout;
import org.moe4j.tensor.DType;
import org.moe4j.train.LanguageModel;
import picocli.CommandLine.Command;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;
import picocli.CommandLine.TypeConversionException;

/** {@code moe convert}. */
@Command(
    name = "convert",
    description = {
      "Rewrite a model's weights: experts apart or stacked, another type, other file sizes.",
      "One parameter or expert is in memory at a time; OUT appears when it is complete."
    },
    footer = {
      "  moe convert mixtral mixtral-fused --layout fused",
      "  moe convert deepseek-fp8 deepseek-bf16",
      "  moe convert runs/first small --dtype f16 --shard-size 500m"
    })
final class ConvertCommand implements Callable<Integer> {
  /** Types that weights can be written in. */
  enum Type {
    F32,
    BF16,
    F16
  }

  @Parameters(
      index = "0",
      paramLabel = "MODEL",
      description = "A model's folder, a run's folder, or a checkpoint.")
  private Path model;

  @Parameters(
      index = "1",
      paramLabel = "OUT",
      description = "The folder to make; it must not exist, or be empty.")
  private Path out;

  @Option(
      names = "--layout",
      paramLabel = "LAYOUT",
      converter = LayoutName.class,
      description =
          "released (mostly per-expert tensors) or fused (stacked, as transformers 5 has them in"
              + " memory); as it is, if not given.")
  private @Nullable ExpertLayout layout;

  @Option(
      names = "--dtype",
      paramLabel = "TYPE",
      description =
          "bf16, f16 or f32; if not given each tensor keeps its own, FP8 and MXFP4 become bf16.")
  private @Nullable Type dtype;

  @Option(
      names = "--shard-size",
      paramLabel = "SIZE",
      defaultValue = "5g",
      converter = Size.class,
      description = "The largest file, in bytes or with k, m, g (default: ${DEFAULT-VALUE}).")
  private long shardSize;

  @Option(names = "--json", description = "Print the result as one JSON document.")
  private boolean json;

  @Spec private CommandSpec spec;

  /** {@code released}, also called {@code per-expert}, or {@code fused}. */
  static final class LayoutName implements ITypeConverter<ExpertLayout> {
    @Override
    public ExpertLayout convert(String value) {
      if (value.equalsIgnoreCase("per-expert")) {
        return ExpertLayout.RELEASED;
      }
      for (ExpertLayout l : ExpertLayout.values()) {
        if (l.label().equalsIgnoreCase(value)) {
          return l;
        }
      }
      throw new TypeConversionException("'" + value + "': use released or fused");
    }
  }

  @Override
  public Integer call() {
    PrintWriter text = spec.commandLine().getOut();
    Conversion.Options options =
        new Conversion.Options(
            Optional.ofNullable(layout),
            Optional.ofNullable(dtype).map(t -> DType.valueOf(t.name())),
            shardSize);
    long start = System.nanoTime();
    Conversion.Result result;
    try (BytesDisplay display = new BytesDisplay("writing", spec.commandLine().getErr())) {
      result = Conversion.run(LanguageModel.folder(model), out, options, display);
    }
    double seconds = (System.nanoTime() - start) / 1e9;
    if (json) {
      Documents.print(
          text,
          node ->
              node.put("model", out.toString())
                  .put("family", result.family())
                  .put("layout", result.layout().label())
                  .put("tensors", result.tensors())
                  .put("bytes", result.bytes())
                  .put("seconds", seconds));
    } else {
      text.printf(
          Locale.ROOT,
          "%s: %s, %s, %,d tensors, %,d bytes in %.1f s%n",
          out,
          result.family(),
          result.layout().label(),
          result.tensors(),
          result.bytes(),
          seconds);
    }
    return Moe.DONE;
  }
}

package org.moe4j.cli;

import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Locale;
import java.util.Optional;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import org.moe4j.engine.gguf.GgmlType;
import org.moe4j.engine.gguf.Quantise;
import org.moe4j.models.gguf.GgufExport;
import org.moe4j.models.hf.Conversion;
import org.moe4j.models.hf.ExpertLayout;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.MoeException;
import org.moe4j.train.LanguageModel;
import picocli.CommandLine.Command;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;
import picocli.CommandLine.TypeConversionException;

/** {@code moe convert}. */
@Command(
    name = "convert",
    description = {
      "Rewrite a model's weights: as a GGUF file, experts apart or stacked, another type.",
      "If OUT ends in .gguf it is one file with the tokenizer, for moe generate and llama.cpp; else"
          + " a folder.",
      "One parameter or expert is in memory at a time; OUT appears when it is complete."
    },
    footer = {
      "  moe convert OLMoE-1B-7B olmoe.gguf --type q4_0",
      "  moe convert mixtral mixtral-fused --layout fused",
      "  moe convert deepseek-fp8 deepseek-bf16",
      "  moe convert runs/first small --dtype f16 --shard-size 500m"
    })
final class ConvertCommand implements Callable<Integer> {
  private static final long SHARD = 5_000_000_000L;

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
      description = "The folder to make, which must not exist or be empty; or a new .gguf file.")
  private Path out;

  @Option(
      names = "--type",
      paramLabel = "TYPE",
      converter = TypeName.class,
      description =
          "Of matrices in a GGUF file: f32, f16 (default), bf16, q8_0, q6_k, q4_k or q4_0. Norms,"
              + " biases and routers stay f32; beside 4 bits the output projection has 6.")
  private @Nullable GgmlType type;

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
      converter = Size.class,
      description = "The largest file, in bytes or with k, m, g (default: 5g).")
  private @Nullable Long shardSize;

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

  /** A type that GGUF files are written in. */
  static final class TypeName implements ITypeConverter<GgmlType> {
    @Override
    public GgmlType convert(String value) {
      return Quantise.TYPES.stream()
          .filter(t -> t.label().equalsIgnoreCase(value))
          .findFirst()
          .orElseThrow(
              () ->
                  new TypeConversionException(
                      "'" + value + "': use f32, f16, bf16, q8_0, q6_k, q4_k or q4_0"));
    }
  }

  private static boolean isGguf(Path path) {
    return path.toString().toLowerCase(Locale.ROOT).endsWith(".gguf");
  }

  @Override
  public Integer call() {
    if (isGguf(model) && !Files.isDirectory(model)) {
      throw new MoeException(
          model + ": GGUF files are not converted; give the folder with config.json it comes from");
    }
    if (isGguf(out)) {
      return toGguf();
    }
    if (type != null) {
      throw new ParameterException(
          spec.commandLine(), "--type is for GGUF files: end OUT in .gguf, or use --dtype");
    }
    return toFolder();
  }

  private int toGguf() {
    if (layout != null || dtype != null || shardSize != null) {
      throw new ParameterException(
          spec.commandLine(),
          "--layout, --dtype and --shard-size are not for GGUF files; use --type");
    }
    GgmlType chosen = type == null ? GgmlType.F16 : type;
    long start = System.nanoTime();
    GgufExport.Result result;
    try (BytesDisplay display = new BytesDisplay("writing", spec.commandLine().getErr())) {
      result = GgufExport.run(LanguageModel.folder(model), out, chosen, display);
    }
    double seconds = (System.nanoTime() - start) / 1e9;
    PrintWriter text = spec.commandLine().getOut();
    if (json) {
      Documents.print(
          text,
          node -> {
            node.put("model", out.toString())
                .put("architecture", result.architecture())
                .put("type", chosen.label())
                .put("tensors", result.tensors())
                .put("bytes", result.bytes())
                .put("seconds", seconds);
            result.remarks().forEach(node.putArray("remarks")::add);
          });
      return Moe.DONE;
    }
    result.remarks().forEach(remark -> text.println("note: " + remark));
    text.printf(
        Locale.ROOT,
        "%s: %s, %s, %,d tensors, %,d bytes in %.1f s%n",
        out,
        result.architecture(),
        chosen.label(),
        result.tensors(),
        result.bytes(),
        seconds);
    return Moe.DONE;
  }

  private int toFolder() {
    PrintWriter text = spec.commandLine().getOut();
    Conversion.Options options =
        new Conversion.Options(
            Optional.ofNullable(layout),
            Optional.ofNullable(dtype).map(t -> DType.valueOf(t.name())),
            shardSize == null ? SHARD : shardSize);
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

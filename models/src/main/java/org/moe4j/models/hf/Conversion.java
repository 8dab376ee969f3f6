package org.moe4j.models.hf;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.moe4j.ParameterStore;
import org.moe4j.models.Decoder;
import org.moe4j.tensor.AtomicFile;
import org.moe4j.tensor.AtomicFolder;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.Device;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.SafetensorsWriter;
import org.moe4j.tensor.StoredTensor;
import org.moe4j.tensor.Tensor;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;

/**
 * Rewrites a checkpoint with its experts in another form or its weights in another type, one
 * parameter or one expert in memory at a time.
 */
public final class Conversion {
  /** Larger files beside the weights are none that a model needs to run. */
  private static final long LARGEST_COPIED = 64L << 20;

  private static final int COPIED_AT_ONCE = 1 << 20;

  private Conversion() {}

  /**
   * What to change.
   *
   * @param layout of the experts; empty: as it is
   * @param dtype of the weights, F32, BF16 or F16; empty: as they are, FP8 and MXFP4 as BF16
   * @param maxShardBytes the largest file, unless one tensor alone is larger
   */
  public record Options(Optional<ExpertLayout> layout, Optional<DType> dtype, long maxShardBytes) {}

  /**
   * What was written.
   *
   * @param family the checkpoint's family
   * @param layout of the experts
   * @param tensors their number
   * @param bytes of the weights
   */
  public record Result(String family, ExpertLayout layout, int tensors, long bytes) {}

  /**
   * Converts the checkpoint in the folder {@code from} into the folder {@code to}, which appears
   * only when it is complete. Small files beside the weights, as the tokenizer's, are copied, and
   * so are tensors without a meaning for the decoder, as those of another modality.
   *
   * @throws MoeException if the checkpoint is damaged, its family has no such layout, {@code to}
   *     has something in it or cannot be written; nothing of it is left then
   */
  public static Result run(Path from, Path to, Options options, LoadProgress progress) {
    AtomicFolder.requireAbsent(to);
    try (OpenCheckpoint file = OpenCheckpoint.open(from);
        Decoder model = new Decoder(file.config(), ParameterStore.shapes(DType.F32))) {
      ExpertLayout layout = options.layout().orElseGet(file::layout);
      List<ExpertLayout> known = file.family().layouts();
      if (!known.contains(layout)) {
        throw new MoeException(
            from
                + ": layout "
                + layout.label()
                + ": the family "
                + file.family().modelType()
                + " has only "
                + known.stream().map(ExpertLayout::label).collect(Collectors.joining(", ")));
      }
      Map<DiskTensor, WeightSource> sources = file.sources(model, file.layout());
      WeightMap target = file.family().names(model, layout);
      try (WeightStream stream = new WeightStream(sources, target, options.dtype(), progress)) {
        List<SafetensorsWriter.Item> items = new ArrayList<>(stream.items(target));
        file.others(sources).forEach((name, source) -> items.add(unchanged(name, source)));
        boolean scaled =
            sources.values().stream().anyMatch(s -> !(s instanceof WeightSource.Plain));
        AtomicFolder.write(
            to,
            folder -> {
              byte[] config = config(from, options.dtype(), scaled);
              AtomicFile.write(folder.resolve(ConfigFile.NAME), config);
              copyOthers(from, folder);
              SafetensorsWriter.writeFolder(
                  folder, items, Map.of("format", "pt"), options.maxShardBytes());
            });
        long bytes = items.stream().mapToLong(i -> i.stored().bytes()).sum();
        return new Result(file.family().modelType(), layout, items.size(), bytes);
      }
    }
  }

  /** What means nothing to the model, as it is; codes and scales as BF16. */
  private static SafetensorsWriter.Item unchanged(String name, WeightSource source) {
    DType dtype = source instanceof WeightSource.Plain ? source.dtype() : DType.BF16;
    StoredTensor stored = new StoredTensor(name, dtype, source.shape());
    return new SafetensorsWriter.Item(
        stored,
        () -> {
          Tensor whole = Tensor.empty(dtype, Device.CPU, stored.sizes());
          source.read(0, whole);
          return whole;
        });
  }

  /** The configuration with the weights' new type, and without the codes that are no more. */
  private static byte[] config(Path from, Optional<DType> dtype, boolean scaled) {
    JsonMapper mapper = new JsonMapper();
    try {
      JsonNode read = mapper.readTree(Files.readAllBytes(from.resolve(ConfigFile.NAME)));
      if (!(read instanceof ObjectNode root)) {
        throw new MoeException(from.resolve(ConfigFile.NAME) + ": must be a JSON object");
      }
      if (scaled) {
        root.remove(Quantisation.FIELD);
      }
      dtype
          .or(() -> scaled ? Optional.of(DType.BF16) : Optional.empty())
          .map(HfCheckpoint::torchName)
          .ifPresent(name -> rename(root, name));
      return mapper.writerWithDefaultPrettyPrinter().writeValueAsBytes(root);
    } catch (IOException e) {
      throw new MoeException("cannot read " + from.resolve(ConfigFile.NAME) + ": " + e, e);
    }
  }

  private static void rename(ObjectNode root, String dtype) {
    List<String> fields = Stream.of("dtype", "torch_dtype").filter(root::has).toList();
    (fields.isEmpty() ? List.of("torch_dtype") : fields).forEach(f -> root.put(f, dtype));
    if (root.get("text_config") instanceof ObjectNode text) {
      Stream.of("dtype", "torch_dtype").filter(text::has).forEach(f -> text.put(f, dtype));
    }
  }

  private static void copyOthers(Path from, Path to) {
    try (Stream<Path> files = Files.list(from)) {
      for (Path file : files.filter(Conversion::isCopied).sorted().toList()) {
        AtomicFile.write(to.resolve(file.getFileName()), out -> copy(file, out));
      }
    } catch (IOException e) {
      throw new MoeException("cannot read " + from + ": " + e, e);
    }
  }

  private static boolean isCopied(Path file) {
    String name = file.getFileName().toString();
    return Files.isRegularFile(file)
        && file.toFile().length() <= LARGEST_COPIED
        && !name.startsWith(".")
        && !name.equals(ConfigFile.NAME)
        && !name.matches(".*\\.(safetensors|bin|pt|pth|gguf|h5|msgpack|index\\.json)");
  }

  private static void copy(Path file, FileChannel out) throws IOException {
    try (FileChannel in = FileChannel.open(file)) {
      ByteBuffer buffer = ByteBuffer.allocate(COPIED_AT_ONCE);
      while (in.read(buffer) >= 0) {
        buffer.flip();
        while (buffer.hasRemaining()) {
          out.write(buffer);
        }
        buffer.clear();
      }
    }
  }
}

package org.moe4j.models.hf;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.OptionalInt;
import org.moe4j.Parameter;
import org.moe4j.ParameterStore;
import org.moe4j.Role;
import org.moe4j.models.Decoder;
import org.moe4j.models.DecoderConfig;
import org.moe4j.tensor.AtomicFile;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.Device;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.Safetensors;
import org.moe4j.tensor.SafetensorsWriter;
import org.moe4j.tensor.StoredTensor;
import org.moe4j.tensor.StoredTensors;
import org.moe4j.tensor.TorchFile;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;

/**
 * Models as Hugging Face folders: {@code config.json} and safetensors, in the {@link HfLayout} that
 * fits. Tokenizer files beside them are the caller's.
 */
public final class HfCheckpoint {
  private HfCheckpoint() {}

  /**
   * How to save.
   *
   * @param dtype the type of the weights on disk
   * @param maxShardBytes the largest file, unless one tensor alone is larger
   * @param tokens special tokens for {@code config.json}
   */
  public record SaveOptions(DType dtype, long maxShardBytes, SpecialTokens tokens) {
    /** F32, shards of at most 5 GB, no special tokens. */
    public static final SaveOptions DEFAULT =
        new SaveOptions(DType.F32, 5_000_000_000L, SpecialTokens.NONE);

    /** With another type of the weights. */
    public SaveOptions withDtype(DType dtype) {
      return new SaveOptions(dtype, maxShardBytes, tokens);
    }

    /** With another largest file. */
    public SaveOptions withMaxShardBytes(long maxShardBytes) {
      return new SaveOptions(dtype, maxShardBytes, tokens);
    }

    /** With special tokens. */
    public SaveOptions withTokens(SpecialTokens tokens) {
      return new SaveOptions(dtype, maxShardBytes, tokens);
    }
  }

  /**
   * A model that was read; the caller closes it.
   *
   * @param modelType the family it was stored as
   * @param tokens the special tokens of its {@code config.json}
   */
  public record Loaded(Decoder model, String modelType, SpecialTokens tokens) {}

  /**
   * Saves a model into {@code folder}. Each file appears whole or not at all and the weights come
   * last: a folder that already holds a checkpoint of the same shape keeps either the old weights
   * or the new ones whatever happens.
   *
   * @return the layout it was saved in, with the reasons
   * @throws MoeException if the folder cannot be written
   */
  public static HfLayout.Choice save(Path folder, Decoder model, SaveOptions options) {
    HfLayout.Choice choice = HfLayout.choose(model);
    HfLayout layout = choice.layout();
    AtomicFile.write(folder.resolve(ConfigFile.NAME), config(model.config(), layout, options));
    List<SafetensorsWriter.Item> items = new ArrayList<>();
    for (DiskTensor tensor : layout.family().names(model, ExpertLayout.RELEASED).list()) {
      Parameter first = tensor.parts().getFirst().parameter();
      DType dtype = first.role() instanceof Role.State ? first.tensor().dtype() : options.dtype();
      StoredTensor stored = new StoredTensor(tensor.name(), dtype, tensor.shape());
      items.add(new SafetensorsWriter.Item(stored, tensor::tensor));
    }
    SafetensorsWriter.writeFolder(folder, items, Map.of("format", "pt"), options.maxShardBytes());
    return choice;
  }

  private static byte[] config(DecoderConfig config, HfLayout layout, SaveOptions options) {
    JsonMapper mapper = new JsonMapper();
    ObjectNode root = mapper.createObjectNode();
    root.put("model_type", layout.modelType());
    if (layout == HfLayout.MOE4J) {
      Moe4jConfigs.write(root, config);
    } else {
      LlamaConfigWriter.write(root, config, layout == HfLayout.OLMOE);
    }
    root.put("dtype", torchName(options.dtype()));
    root.put("torch_dtype", torchName(options.dtype()));
    SpecialTokens tokens = options.tokens();
    putId(root, "bos_token_id", tokens.bos());
    putId(root, "pad_token_id", tokens.pad());
    List<Integer> eos = tokens.eos().stream().sorted().toList();
    if (eos.size() > 1) {
      eos.forEach(root.putArray("eos_token_id")::add);
    } else {
      putId(root, "eos_token_id", eos.stream().mapToInt(i -> i).findFirst());
    }
    return mapper.writerWithDefaultPrettyPrinter().writeValueAsBytes(root);
  }

  /** An absent id is written as null: left out, it would get the family's default. */
  private static void putId(ObjectNode root, String field, OptionalInt id) {
    if (id.isPresent()) {
      root.put(field, id.getAsInt());
    } else {
      root.putNull(field);
    }
  }

  static String torchName(DType dtype) {
    return switch (dtype) {
      case F32 -> "float32";
      case BF16 -> "bfloat16";
      case F16 -> "float16";
      case F64 -> "float64";
      default ->
          throw new MoeException("weights cannot be saved as " + dtype + "; use f32 or bf16");
    };
  }

  /**
   * Looks at the {@code config.json} of {@code folder} alone.
   *
   * @throws MoeException if it does not name a known family of decoders
   */
  public static void requireDecoder(Path folder) {
    Family _ = Families.of(ConfigFile.read(folder));
  }

  /** Reads a checkpoint with F32 parameters on the CPU. */
  public static Loaded load(Path folder) {
    return load(folder, Device.CPU, DType.F32);
  }

  /**
   * Reads a checkpoint.
   *
   * @param dtype the type of the parameters
   * @throws MoeException if the folder holds no checkpoint of a known family, or weights that do
   *     not fit its configuration
   */
  public static Loaded load(Path folder, Device device, DType dtype) {
    return load(folder, device, dtype, LoadProgress.NONE);
  }

  /** The same, telling {@code progress} of the bytes that were read. */
  public static Loaded load(Path folder, Device device, DType dtype, LoadProgress progress) {
    try (OpenCheckpoint file = OpenCheckpoint.open(folder)) {
      ParameterStore store = ParameterStore.uninitialised(device, dtype);
      try {
        Decoder model = new Decoder(file.config(), store);
        WeightLoader.read(file.sources(model, file.layout()), progress);
        return new Loaded(model, file.family().modelType(), file.tokens());
      } catch (RuntimeException e) {
        store.close();
        throw e;
      }
    }
  }

  /** The weights of a folder: safetensors if there are any, else files of torch. */
  static StoredTensors weights(Path folder) {
    boolean torch =
        !Files.exists(folder.resolve(Safetensors.SINGLE_FILE))
            && !Files.exists(folder.resolve(Safetensors.INDEX_FILE))
            && (Files.exists(folder.resolve(TorchFile.SINGLE_FILE))
                || Files.exists(folder.resolve(TorchFile.INDEX_FILE)));
    return torch ? TorchFile.open(folder) : Safetensors.open(folder);
  }

  /** The configuration, refused if it asks for far more memory than there are weights. */
  static DecoderConfig config(ConfigFile file, Family family, StoredTensors weights) {
    int tensors = weights.names().size();
    String layers = "num_hidden_layers";
    if (file.has(layers) && file.positive(layers) > tensors) {
      throw file.failure(
          layers + " " + file.positive(layers) + ", but the weights are " + tensors + " tensors");
    }
    DecoderConfig config = file.checked(() -> family.config(file));
    long stored = weights.names().stream().mapToLong(n -> weights.describe(n).elements()).sum();
    long wanted;
    try {
      // Routers and their options are looked up here for the first time.
      wanted = file.checked(() -> config.parameters().total());
    } catch (ArithmeticException e) {
      throw file.failure("describes a model of more parameters than can be counted");
    }
    if (wanted / 4 > stored) {
      throw file.failure(
          "a checkpoint of another shape: the configuration describes "
              + wanted
              + " parameters, the weights hold "
              + stored);
    }
    return config;
  }
}

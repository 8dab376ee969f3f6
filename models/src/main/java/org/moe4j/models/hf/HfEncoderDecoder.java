package org.moe4j.models.hf;

import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.OptionalLong;
import java.util.Set;
import java.util.function.IntFunction;
import java.util.function.Predicate;
import org.moe4j.Capacity;
import org.moe4j.Experts;
import org.moe4j.Parameter;
import org.moe4j.ParameterStore;
import org.moe4j.models.EncoderDecoder;
import org.moe4j.models.EncoderDecoderConfig;
import org.moe4j.models.ExpertCache;
import org.moe4j.models.FeedForwardConfig;
import org.moe4j.models.StoredExperts;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.Device;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.Scope;
import org.moe4j.tensor.StoredTensor;
import org.moe4j.tensor.StoredTensors;

/**
 * Encoder-decoders as Hugging Face folders: switch_transformers in safetensors or torch files, and
 * the layout of google/switch-c-2048 (S07), whose experts may stay on disk.
 */
public final class HfEncoderDecoder {
  private HfEncoderDecoder() {}

  /**
   * How to load.
   *
   * @param device where the parameters live and the model computes
   * @param dtype the type of the parameters
   * @param expertBytes if there, experts are read from disk when tokens come for them, and the ones
   *     used last stay in memory up to so many bytes
   * @param strict whether a {@code config.json} that contradicts the tensors is refused; else the
   *     tensors are right
   * @param capacity whether experts serve only so many tokens of a sequence as {@code
   *     expert_capacity} says, as transformers has it; else nothing is dropped
   */
  public record LoadOptions(
      Device device, DType dtype, OptionalLong expertBytes, boolean strict, boolean capacity) {
    /** All in memory on the CPU in F32, with the capacity of the file. */
    public static final LoadOptions DEFAULT =
        new LoadOptions(Device.CPU, DType.F32, OptionalLong.empty(), false, true);

    /** On another device. */
    public LoadOptions withDevice(Device device) {
      return new LoadOptions(device, dtype, expertBytes, strict, capacity);
    }

    /** With parameters of another type. */
    public LoadOptions withDtype(DType dtype) {
      return new LoadOptions(device, dtype, expertBytes, strict, capacity);
    }

    /** With experts read on demand and up to {@code bytes} of them in memory. */
    public LoadOptions withExpertsOnDemand(long bytes) {
      return new LoadOptions(device, dtype, OptionalLong.of(bytes), strict, capacity);
    }

    /** Refusing files that contradict themselves. */
    public LoadOptions strictly() {
      return new LoadOptions(device, dtype, expertBytes, true, capacity);
    }

    /** Without a capacity of experts. */
    public LoadOptions withoutCapacity() {
      return new LoadOptions(device, dtype, expertBytes, strict, false);
    }
  }

  /** A model that was read; closing it frees the model and what it reads from. */
  public static final class Loaded implements AutoCloseable {
    private final EncoderDecoder model;
    private final SpecialTokens tokens;
    private final List<String> contradictions;
    private final Optional<ExpertCache> experts;
    private final StoredTensors files;

    private Loaded(
        EncoderDecoder model,
        SpecialTokens tokens,
        List<String> contradictions,
        Optional<ExpertCache> experts,
        StoredTensors files) {
      this.model = model;
      this.tokens = tokens;
      this.contradictions = contradictions;
      this.experts = experts;
      this.files = files;
    }

    /** The model. */
    public EncoderDecoder model() {
      return model;
    }

    /** The special tokens of its {@code config.json}. */
    public SpecialTokens tokens() {
      return tokens;
    }

    /** What {@code config.json} says otherwise than the tensors, each in a few words. */
    public List<String> contradictions() {
      return contradictions;
    }

    /** The experts in memory, if they are read on demand. */
    public Optional<ExpertCache> experts() {
      return experts;
    }

    @Override
    public void close() {
      model.close();
      experts.ifPresent(ExpertCache::close);
      files.close();
    }
  }

  /**
   * True if the folder's {@code config.json} names a family of this class.
   *
   * @throws MoeException if there is none
   */
  public static boolean serves(Path folder) {
    return ConfigFile.read(folder).textOr("", "model_type").equals(SwitchConfigs.MODEL_TYPE);
  }

  /** Reads a checkpoint with {@link LoadOptions#DEFAULT}. */
  public static Loaded load(Path folder) {
    return load(folder, LoadOptions.DEFAULT);
  }

  /**
   * Reads a checkpoint.
   *
   * @throws MoeException if the folder holds no checkpoint of these families, or tensors that do
   *     not fit together
   */
  public static Loaded load(Path folder, LoadOptions options) {
    return load(folder, options, LoadProgress.NONE);
  }

  /** The same, telling {@code progress} of the bytes that were read. */
  public static Loaded load(Path folder, LoadOptions options, LoadProgress progress) {
    ConfigFile file = config(folder);
    StoredTensors weights = HfCheckpoint.weights(folder);
    try {
      Description d = describe(file, weights);
      if (options.strict() && !d.contradictions().isEmpty()) {
        throw file.failure("contradicts the tensors: " + String.join("; ", d.contradictions()));
      }
      for (String alias : SwitchTensors.ALIASES) {
        if (weights.names().contains(alias) && !equal(weights, alias, SwitchTensors.SHARED)) {
          throw new MoeException(
              weights.path()
                  + ": "
                  + alias
                  + " is not "
                  + SwitchTensors.SHARED
                  + "; encoders and decoders with embeddings of their own are not supported");
        }
      }
      Set<String> experts = check(d, weights).keySet();
      return read(d, experts, weights, options, tokens(file), progress);
    } catch (RuntimeException e) {
      weights.close();
      throw e;
    }
  }

  /**
   * Looks at a checkpoint without reading its weights, whatever their size.
   *
   * @throws MoeException as {@link #load}
   */
  public static EncoderDecoderInspection inspect(Path folder) {
    ConfigFile file = config(folder);
    try (StoredTensors weights = HfCheckpoint.weights(folder)) {
      Description d = describe(file, weights);
      Set<String> experts = check(d, weights).keySet();
      try (EncoderDecoder shapes = shapes(d.config(), weights)) {
        return EncoderDecoderInspection.of(
            folder,
            d.config(),
            weights,
            SwitchNames.of(shapes, d.head()),
            experts,
            d.contradictions());
      }
    }
  }

  private static ConfigFile config(Path folder) {
    ConfigFile file = ConfigFile.read(folder);
    String type = file.text("model_type");
    if (!type.equals(SwitchConfigs.MODEL_TYPE)) {
      throw file.failure(
          "model_type " + type + " is no encoder-decoder; supported: " + SwitchConfigs.MODEL_TYPE);
    }
    return file;
  }

  /**
   * What a folder's names, shapes and configuration say together.
   *
   * @param head the name of the output projection
   * @param ignored names on disk that mean nothing to the model
   */
  private record Description(
      EncoderDecoderConfig config,
      String head,
      Predicate<String> ignored,
      List<String> contradictions) {
    /** Also without these names. */
    Predicate<String> ignoring(Set<String> names) {
      return name -> names.contains(name) || ignored.test(name);
    }
  }

  private static Description describe(ConfigFile file, StoredTensors weights) {
    SwitchTensors tensors = SwitchTensors.of(weights);
    boolean tied = tied(file, weights, tensors);
    SwitchConfigs.Read read = SwitchConfigs.read(file, tensors, tied);
    String head = tensors.head().orElse(SwitchTensors.HEADS.getFirst());
    Predicate<String> ignored =
        name ->
            SwitchTensors.ALIASES.contains(name) || (tied && SwitchTensors.HEADS.contains(name));
    return new Description(read.config(), head, ignored, read.contradictions());
  }

  /**
   * Checks names and shapes of all tensors before any memory is taken for them.
   *
   * @return the tensors of the experts by their names
   * @throws MoeException naming tensors that are missing, unexpected or of another shape
   */
  private static Map<String, List<Long>> check(Description d, StoredTensors weights) {
    Map<String, List<Long>> experts = SwitchNames.experts(d.config());
    WeightLoader.refuse(
        weights,
        "missing",
        experts.keySet().stream().filter(n -> !weights.names().contains(n)).toList());
    experts.forEach((name, shape) -> checkExpert(weights.describe(name), shape, weights));
    try (EncoderDecoder shapes = shapes(d.config(), weights)) {
      WeightMap names = SwitchNames.of(shapes, d.head());
      names.requireCovers(shapes.parameters().all());
      Map<DiskTensor, WeightSource> _ =
          WeightLoader.sources(weights, names, d.ignoring(experts.keySet()), Quantisation.DEFAULT);
    }
    return experts;
  }

  private static void checkExpert(StoredTensor stored, List<Long> shape, StoredTensors weights) {
    if (!stored.shape().equals(shape) || !stored.dtype().isFloating()) {
      throw new MoeException(
          weights.path()
              + ": tensor "
              + stored.name()
              + " is "
              + stored.dtype().label()
              + stored.shape()
              + ", expected a floating-point type and "
              + shape);
    }
  }

  /** The model without memory and experts. */
  private static EncoderDecoder shapes(EncoderDecoderConfig config, StoredTensors weights) {
    LoadOptions none = LoadOptions.DEFAULT;
    return EncoderDecoder.around(
        stored(config, weights, new ExpertCache(0), none),
        config,
        ParameterStore.shapes(none.dtype()));
  }

  /** Files of tied models may repeat the embedding as output projection. */
  private static boolean tied(ConfigFile file, StoredTensors weights, SwitchTensors tensors) {
    boolean told = file.flagOr(true, "tie_word_embeddings");
    return tensors
        .head()
        .map(head -> told && equal(weights, head, SwitchTensors.SHARED))
        .orElse(true);
  }

  private static boolean equal(StoredTensors weights, String a, String b) {
    StoredTensor first = weights.describe(a);
    StoredTensor second = weights.describe(b);
    if (!first.shape().equals(second.shape()) || first.dtype() != second.dtype()) {
      return false;
    }
    try (Scope scope = Scope.open()) {
      return weights.load(a).segment().mismatch(weights.load(b).segment()) < 0;
    }
  }

  private static SpecialTokens tokens(ConfigFile file) {
    Set<Integer> eos = file.has("eos_token_id") ? file.integers("eos_token_id") : Set.of(1);
    return new SpecialTokens(
        first(file.integers("bos_token_id")), eos, first(file.integers("pad_token_id")));
  }

  private static OptionalInt first(Set<Integer> ids) {
    return ids.stream().mapToInt(i -> i).findFirst();
  }

  private static Loaded read(
      Description d,
      Set<String> experts,
      StoredTensors weights,
      LoadOptions options,
      SpecialTokens tokens,
      LoadProgress progress) {
    EncoderDecoderConfig config =
        options.capacity() ? d.config() : d.config().withCapacity(Capacity.NONE);
    Optional<ExpertCache> cache =
        options.expertBytes().isPresent()
            ? Optional.of(new ExpertCache(options.expertBytes().getAsLong()))
            : Optional.empty();
    ParameterStore store = ParameterStore.uninitialised(options.device(), options.dtype());
    try {
      EncoderDecoder model =
          cache
              .map(c -> EncoderDecoder.around(stored(config, weights, c, options), config, store))
              .orElseGet(() -> new EncoderDecoder(config, store));
      WeightMap names = SwitchNames.of(model, d.head());
      names.requireCovers(store.all());
      Predicate<String> left = cache.isPresent() ? d.ignoring(experts) : d.ignored();
      WeightLoader.load(weights, names, left, Quantisation.DEFAULT, progress);
      if (cache.isPresent()) {
        store.all().forEach(Parameter::freeze);
      }
      return new Loaded(model, tokens, d.contradictions(), cache, weights);
    } catch (RuntimeException e) {
      store.close();
      throw e;
    }
  }

  private static IntFunction<Experts> stored(
      EncoderDecoderConfig config, StoredTensors weights, ExpertCache cache, LoadOptions options) {
    int encoders = config.encoder().size();
    StoredExperts.Held how = new StoredExperts.Held(options.dtype(), options.device());
    return layer -> {
      boolean encodes = layer < encoders;
      String side = encodes ? "encoder" : "decoder";
      int block = encodes ? layer : layer - encoders;
      FeedForwardConfig half = (encodes ? config.encoder() : config.decoder()).get(block);
      var moe = half.sparse().orElseThrow();
      return new StoredExperts(
          weights, e -> SwitchNames.expert(side, block, e, moe.form()), cache, moe, layer, how);
    };
  }
}

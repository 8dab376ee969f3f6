package org.moe4j.models.hf;

import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.Set;
import java.util.stream.Collectors;
import org.moe4j.models.Decoder;
import org.moe4j.models.DecoderConfig;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.Fp8Blocks;
import org.moe4j.tensor.StoredTensor;
import org.moe4j.tensor.StoredTensors;

/** A checkpoint folder whose configuration and headers were read, and no weights yet. */
public final class OpenCheckpoint implements AutoCloseable {
  private final ConfigFile file;
  private final Family family;
  private final Quantisation quantisation;
  private final StoredTensors weights;
  private final DecoderConfig config;

  private OpenCheckpoint(ConfigFile file, StoredTensors weights) {
    this.file = file;
    this.family = Families.of(file);
    this.quantisation = Quantisation.of(file);
    this.weights = weights;
    this.config = HfCheckpoint.config(file, family, weights);
  }

  /**
   * Opens a folder.
   *
   * @throws org.moe4j.tensor.MoeException if it holds no checkpoint of a known family
   */
  public static OpenCheckpoint open(Path folder) {
    ConfigFile file = ConfigFile.read(folder);
    Families.of(file);
    StoredTensors weights = HfCheckpoint.weights(folder);
    try {
      return new OpenCheckpoint(file, weights);
    } catch (RuntimeException e) {
      weights.close();
      throw e;
    }
  }

  /** The decoder that it describes. */
  public DecoderConfig config() {
    return config;
  }

  /** The {@code model_type} of its configuration. */
  public String modelType() {
    return family.modelType();
  }

  Family family() {
    return family;
  }

  /** The special tokens of its configuration. */
  public SpecialTokens tokens() {
    return new SpecialTokens(
        first(file.integers("bos_token_id")),
        file.integers("eos_token_id"),
        first(file.integers("pad_token_id")));
  }

  private static OptionalInt first(Set<Integer> ids) {
    return ids.stream().mapToInt(i -> i).findFirst();
  }

  /** How the file keeps its experts. */
  ExpertLayout layout() {
    return family.layout(weights.names());
  }

  /**
   * Where each tensor of a model comes from, in the order of the file.
   *
   * @throws org.moe4j.tensor.MoeException if tensors are missing, unexpected or of another shape
   */
  Map<DiskTensor, WeightSource> sources(Decoder model, ExpertLayout layout) {
    WeightMap names = family.names(model, layout);
    names.requireCovers(model.parameters().all());
    return WeightLoader.sources(weights, names, name -> family.ignores(name, config), quantisation);
  }

  /** The stored tensors, under their own names. */
  public StoredTensors stored() {
    return weights;
  }

  /**
   * The weights of {@code model} as the F32 tensors of another map, one parameter or one expert in
   * memory at a time.
   *
   * @throws org.moe4j.tensor.MoeException if tensors are missing, unexpected or of another shape
   */
  public WeightStream stream(Decoder model, WeightMap target, LoadProgress progress) {
    return new WeightStream(sources(model, layout()), target, Optional.of(DType.F32), progress);
  }

  /** What the file holds beside {@code sources}, without a meaning for the model, by name. */
  Map<String, WeightSource> others(Map<DiskTensor, WeightSource> sources) {
    Set<String> used =
        sources.values().stream()
            .flatMap(s -> s.stored().stream())
            .map(StoredTensor::name)
            .collect(Collectors.toSet());
    Map<String, WeightSource> others = new LinkedHashMap<>();
    for (String name : weights.names()) {
      boolean scales =
          name.endsWith(Fp8Blocks.SCALES)
              && weights
                  .names()
                  .contains(name.substring(0, name.length() - Fp8Blocks.SCALES.length()));
      if (!used.contains(name) && !scales) {
        others.put(name, WeightSource.open(weights, name, quantisation));
      }
    }
    return others;
  }

  /** The tensors in the file that mean nothing to the model. */
  List<StoredTensor> ignored() {
    return weights.names().stream()
        .filter(name -> family.ignores(name, config))
        .map(weights::describe)
        .toList();
  }

  @Override
  public void close() {
    weights.close();
  }
}

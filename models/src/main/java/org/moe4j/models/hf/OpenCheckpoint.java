package org.moe4j.models.hf;

import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.OptionalInt;
import java.util.Set;
import org.moe4j.models.Decoder;
import org.moe4j.models.DecoderConfig;
import org.moe4j.tensor.StoredTensors;

/** A checkpoint folder whose configuration and headers were read, and no weights yet. */
final class OpenCheckpoint implements AutoCloseable {
  private final ConfigFile file;
  private final HfLayout layout;
  private final Quantisation quantisation;
  private final StoredTensors weights;
  private final DecoderConfig config;

  private OpenCheckpoint(ConfigFile file, StoredTensors weights) {
    this.file = file;
    this.layout = HfCheckpoint.layout(file);
    this.quantisation = Quantisation.of(file);
    this.weights = weights;
    this.config = HfCheckpoint.config(file, layout, weights);
  }

  /**
   * Opens a folder.
   *
   * @throws org.moe4j.tensor.MoeException if it holds no checkpoint of a known family
   */
  static OpenCheckpoint open(Path folder) {
    ConfigFile file = ConfigFile.read(folder);
    HfCheckpoint.layout(file);
    StoredTensors weights = HfCheckpoint.weights(folder);
    try {
      return new OpenCheckpoint(file, weights);
    } catch (RuntimeException e) {
      weights.close();
      throw e;
    }
  }

  DecoderConfig config() {
    return config;
  }

  HfLayout layout() {
    return layout;
  }

  SpecialTokens tokens() {
    return new SpecialTokens(
        first(file.integers("bos_token_id")),
        file.integers("eos_token_id"),
        first(file.integers("pad_token_id")));
  }

  private static OptionalInt first(Set<Integer> ids) {
    return ids.stream().mapToInt(i -> i).findFirst();
  }

  /** The form that the file's experts have. */
  LlamaNames.Form form() {
    boolean fused = weights.names().stream().anyMatch(n -> n.endsWith(LlamaNames.FUSED_IN));
    return fused ? LlamaNames.Form.FUSED : LlamaNames.Form.PER_EXPERT;
  }

  /** The forms that the family has names for. */
  List<LlamaNames.Form> forms() {
    return layout == HfLayout.MOE4J
        ? List.of(LlamaNames.Form.PER_EXPERT)
        : List.of(LlamaNames.Form.values());
  }

  /** The names of a model's tensors. */
  WeightMap names(Decoder model, LlamaNames.Form form) {
    return HfCheckpoint.names(model, layout, form);
  }

  /**
   * Where each tensor of a model comes from, in the order of the file.
   *
   * @throws org.moe4j.tensor.MoeException if tensors are missing, unexpected or of another shape
   */
  Map<DiskTensor, WeightSource> sources(Decoder model, LlamaNames.Form form) {
    WeightMap names = names(model, form);
    names.requireCovers(model.parameters().all());
    return WeightLoader.sources(weights, names, HfCheckpoint.ignored(config), quantisation);
  }

  @Override
  public void close() {
    weights.close();
  }
}

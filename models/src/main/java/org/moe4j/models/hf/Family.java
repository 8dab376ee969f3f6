package org.moe4j.models.hf;

import java.util.Collection;
import java.util.List;
import org.moe4j.models.Decoder;
import org.moe4j.models.DecoderConfig;

/**
 * A family of decoder checkpoints: what its {@code config.json} means and how its tensors are
 * called. Fields that a family does not read and that would change what it computes are refused.
 */
interface Family {
  /** The {@code model_type} in {@code config.json}. */
  String modelType();

  /**
   * The decoder that a file describes.
   *
   * @throws org.moe4j.tensor.MoeException naming the file and the field
   */
  DecoderConfig config(ConfigFile file);

  /** The names on disk of a model's tensors. */
  WeightMap names(Decoder model, ExpertLayout layout);

  /** The layouts there are names for. */
  default List<ExpertLayout> layouts() {
    return List.of(ExpertLayout.RELEASED);
  }

  /** The layout of a checkpoint with these tensors. */
  default ExpertLayout layout(Collection<String> names) {
    return ExpertLayout.RELEASED;
  }

  /** Whether a tensor on disk means nothing to the model. */
  default boolean ignores(String name, DecoderConfig config) {
    return name.endsWith("rotary_emb.inv_freq")
        || (config.tiedEmbeddings() && name.equals("lm_head.weight"));
  }
}

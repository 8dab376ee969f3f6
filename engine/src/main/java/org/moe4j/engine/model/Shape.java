package org.moe4j.engine.model;

import org.moe4j.engine.EngineException;
import org.moe4j.engine.gguf.GgufFile;
import org.moe4j.engine.gguf.Metadata;

/**
 * Sizes of a model, from a file's metadata.
 *
 * @param width of the residual stream
 * @param headSize numbers of a query, key or value
 * @param rotated how many of them rotary embedding turns
 * @param experts of a layer; 0 without routing
 * @param used experts of a token
 * @param hidden width inside a feed-forward network or expert
 * @param context positions the model was made for
 */
public record Shape(
    Architecture architecture,
    int vocabulary,
    int layers,
    int width,
    int heads,
    int keyHeads,
    int headSize,
    int rotated,
    double ropeBase,
    double ropeScale,
    float epsilon,
    int experts,
    int used,
    int hidden,
    int context) {
  private static final int MOST = 1 << 24;

  /**
   * What {@code file} says.
   *
   * @throws EngineException if a number is missing, out of range or not supported
   */
  public static Shape of(GgufFile file) {
    Metadata m = file.metadata();
    String name =
        m.text("general.architecture").orElseThrow(() -> m.missing("general.architecture"));
    Architecture architecture = Architecture.named(file.path().toString(), name);
    String p = name + ".";
    int width = m.require(p + "embedding_length", 1, MOST);
    int heads = m.require(p + "attention.head_count", 1, 1 << 16);
    int keyHeads = optional(m, p + "attention.head_count_kv", heads, heads);
    int headSize = optional(m, p + "attention.key_length", width / heads, 1 << 16);
    int experts = optional(m, p + "expert_count", 0, 1 << 16);
    String hidden = p + "feed_forward_length";
    String expertHidden = p + "expert_feed_forward_length";
    Shape shape =
        new Shape(
            architecture,
            Math.toIntExact(file.tensor("token_embd.weight").rows()),
            m.require(p + "block_count", 1, 1 << 16),
            width,
            heads,
            keyHeads,
            headSize,
            optional(m, p + "rope.dimension_count", headSize, headSize),
            m.number(p + "rope.freq_base").orElse(10000),
            ropeScale(file, p),
            (float)
                m.number(p + "attention.layer_norm_rms_epsilon")
                    .orElseThrow(() -> m.missing(p + "attention.layer_norm_rms_epsilon")),
            experts,
            experts == 0 ? 0 : m.require(p + "expert_used_count", 1, experts),
            m.require(experts > 0 && m.has(expertHidden) ? expertHidden : hidden, 1, MOST),
            m.require(p + "context_length", 1, Integer.MAX_VALUE));
    if (heads % keyHeads != 0 || shape.rotated % 2 != 0 || headSize < 1) {
      throw new EngineException(
          file.path()
              + ": "
              + heads
              + " heads cannot share "
              + keyHeads
              + " of keys, or a head of "
              + headSize
              + " cannot be rotated in "
              + shape.rotated);
    }
    int valueSize = optional(m, p + "attention.value_length", headSize, 1 << 16);
    if (valueSize != headSize) {
      throw new EngineException(
          file.path()
              + ": values of "
              + valueSize
              + " numbers beside keys of "
              + headSize
              + " are not supported");
    }
    return shape;
  }

  private static int optional(Metadata m, String key, int otherwise, int most) {
    return m.has(key) ? m.require(key, 0, most) : otherwise;
  }

  /** What positions are divided by. */
  private static double ropeScale(GgufFile file, String p) {
    String type = file.metadata().text(p + "rope.scaling.type").orElse("none");
    return switch (type) {
      case "none" -> 1;
      case "linear" -> file.metadata().number(p + "rope.scaling.factor").orElse(1);
      default ->
          throw new EngineException(
              file.path() + ": rotary scaling " + type + " is not supported; known: none, linear");
    };
  }

  /** Numbers of all queries of a token. */
  int queryWidth() {
    return heads * headSize;
  }

  /** Numbers of all keys of a token. */
  int keyWidth() {
    return keyHeads * headSize;
  }
}

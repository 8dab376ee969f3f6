package org.moe4j.engine.model;

import java.util.Optional;
import org.moe4j.engine.CacheType;
import org.moe4j.engine.EngineException;
import org.moe4j.engine.cache.PageLayout;
import org.moe4j.engine.gguf.GgufFile;
import org.moe4j.engine.gguf.Metadata;
import org.moe4j.engine.model.AttentionShape.LatentShape;

/**
 * Sizes of a model, from a file's metadata.
 *
 * @param layers that run; layers for guessing further tokens ahead, which some files end with, are
 *     not among them
 * @param width of the residual stream
 * @param context positions the model was made for
 * @param epsilon of norms
 * @param hidden width inside the network of a layer that does not route; 0 if all do
 */
public record Shape(
    Architecture architecture,
    int vocabulary,
    int layers,
    int width,
    int context,
    float epsilon,
    AttentionShape attention,
    RotaryShape rotary,
    MixtureShape mixture,
    int hidden,
    Scales scales) {
  private static final int MOST = 1 << 24;
  private static final int MOST_HEADS = 1 << 16;

  /** How pages of keys and values of this type are laid out. */
  public PageLayout pages(CacheType type) {
    return new PageLayout(attention.cached(type), layers, attention.keyHeads());
  }

  /**
   * What {@code file} says.
   *
   * @throws EngineException if a number is missing, out of range or not supported
   */
  public static Shape of(GgufFile file) {
    String path = file.path().toString();
    Metadata m = file.metadata();
    String name =
        m.text("general.architecture").orElseThrow(() -> m.missing("general.architecture"));
    Architecture architecture = Architecture.named(path, name);
    String p = name + ".";
    int width = m.require(p + "embedding_length", 1, MOST);
    int blocks = m.require(p + "block_count", 1, 1 << 16);
    int heads = m.require(p + "attention.head_count", 1, MOST_HEADS);
    int keySize =
        optional(
            m,
            p + (architecture.latent() ? "attention.key_length_mla" : "attention.key_length"),
            optional(m, p + "attention.key_length", width / heads, MOST_HEADS),
            MOST_HEADS);
    int rotated = optional(m, p + "rope.dimension_count", keySize, keySize);
    RotaryShape rotary = RotaryShape.of(path, m, architecture, rotated);
    AttentionShape attention =
        architecture.latent()
            ? latent(m, p, heads, keySize, rotary)
            : attention(m, p, heads, keySize, architecture);
    if (heads % attention.keyHeads() != 0 || rotated % 2 != 0 || keySize < 1) {
      throw new EngineException(
          path
              + ": "
              + heads
              + " heads cannot share "
              + attention.keyHeads()
              + " of keys, or a head of "
              + keySize
              + " cannot be rotated in "
              + rotated);
    }
    MixtureShape mixture = mixture(path, m, p, architecture);
    String epsilon = p + "attention.layer_norm_rms_epsilon";
    double logits = m.number(p + "logit_scale").orElse(1);
    if (!(logits > 0)) {
      throw new EngineException(
          path + ": " + p + "logit_scale is " + logits + ", expected more than 0");
    }
    return new Shape(
        architecture,
        Math.toIntExact(file.tensor("token_embd.weight").rows()),
        blocks - optional(m, p + "nextn_predict_layers", 0, blocks - 1),
        width,
        m.require(p + "context_length", 1, Integer.MAX_VALUE),
        (float) m.number(epsilon).orElseThrow(() -> m.missing(epsilon)),
        attention,
        rotary,
        mixture,
        mixture.experts() > 0
            ? optional(m, p + "feed_forward_length", 0, MOST)
            : m.require(p + "feed_forward_length", 1, MOST),
        new Scales(
            scale(m, p + "embedding_scale"), scale(m, p + "residual_scale"), (float) (1 / logits)));
  }

  private static AttentionShape attention(
      Metadata m, String p, int heads, int keySize, Architecture architecture) {
    double scale = m.number(p + "attention.scale").orElse(0);
    return new AttentionShape(
        heads,
        Math.max(1, optional(m, p + "attention.head_count_kv", heads, heads)),
        keySize,
        Math.max(1, optional(m, p + "attention.value_length", keySize, MOST_HEADS)),
        (float) (scale == 0 ? 1 / Math.sqrt(keySize) : scale),
        architecture.windowed() ? m.require(p + "attention.sliding_window", 1, MOST) : 0,
        architecture.windowed(),
        Optional.empty());
  }

  private static AttentionShape latent(
      Metadata m, String p, int heads, int querySize, RotaryShape rotary) {
    int rank = m.require(p + "attention.kv_lora_rank", 1, MOST);
    int rotated = rotary.rotated();
    String value =
        m.has(p + "attention.value_length_mla")
            ? "attention.value_length_mla"
            : "attention.value_length";
    return new AttentionShape(
        heads,
        1,
        rank + rotated,
        rank,
        (float) (rotary.sharpness() / Math.sqrt(querySize)),
        0,
        false,
        Optional.of(
            new LatentShape(
                rank, querySize - rotated, rotated, m.require(p + value, 1, MOST_HEADS))));
  }

  private static MixtureShape mixture(
      String path, Metadata m, String p, Architecture architecture) {
    int experts = optional(m, p + "expert_count", 0, 1 << 16);
    if (experts == 0) {
      return MixtureShape.NONE;
    }
    int used = m.require(p + "expert_used_count", 1, experts);
    String hidden = p + "expert_feed_forward_length";
    int groups = Math.max(1, optional(m, p + "expert_group_count", 1, experts));
    int usedGroups = groups == 1 ? 1 : m.require(p + "expert_group_used_count", 1, groups);
    if (experts % groups != 0 || experts / groups * usedGroups < used) {
      throw new EngineException(
          path
              + ": "
              + experts
              + " experts in "
              + groups
              + " groups, of which "
              + usedGroups
              + " are used, cannot give "
              + used
              + " to a token");
    }
    return new MixtureShape(
        experts,
        used,
        m.require(m.has(hidden) ? hidden : p + "feed_forward_length", 1, MOST),
        m.whole(p + "expert_gating_func").orElse(0) == 0
            ? architecture.gating()
            : Gating.numbered(path, m.whole(p + "expert_gating_func").getAsLong()),
        m.flag(p + "expert_weights_norm").orElse(architecture.normalised()),
        scale(m, p + "expert_weights_scale"),
        groups,
        usedGroups);
  }

  /** 1 if it is 0 or not there. */
  private static float scale(Metadata m, String key) {
    double scale = m.number(key).orElse(1);
    return scale == 0 ? 1 : (float) scale;
  }

  private static int optional(Metadata m, String key, int otherwise, int most) {
    return m.has(key) ? m.require(key, 0, most) : otherwise;
  }
}

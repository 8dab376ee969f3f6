package org.moe4j.train.inspect;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Function;
import org.moe4j.MoeConfig;
import org.moe4j.Role;
import org.moe4j.models.DecoderConfig;
import org.moe4j.models.FeedForwardConfig;
import org.moe4j.models.NormKind;
import org.moe4j.models.hf.CheckpointSummary;
import org.moe4j.train.LanguageModel;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/**
 * What a stored decoder is made of.
 *
 * @param folder of the model
 * @param layout its Hugging Face family
 * @param dtype type of most weights on disk
 * @param config the decoder
 * @param bytes on disk by role, and {@code total}
 * @param ignored tensors on disk that the decoder has no use for
 * @param ignoredBytes of these
 */
public record Inspection(
    Path folder,
    String layout,
    String dtype,
    DecoderConfig config,
    Map<String, Long> bytes,
    int ignored,
    long ignoredBytes) {

  /**
   * Looks at the decoder that {@code path} stands for, see {@link LanguageModel#folder}.
   *
   * @throws org.moe4j.tensor.MoeException if there is none or it is damaged
   */
  public static Inspection of(Path path) {
    Path folder = LanguageModel.folder(path);
    CheckpointSummary summary = CheckpointSummary.of(folder);
    return new Inspection(
        folder,
        summary.modelType(),
        summary.type(),
        summary.config(),
        bytes(summary),
        summary.ignored(),
        summary.ignoredBytes());
  }

  /** The kinds of sparse layers, each with the indices of its layers. */
  public Map<MoeConfig, List<Integer>> sparse() {
    return kinds(FeedForwardConfig::sparse);
  }

  /** The kinds of dense feed-forward halves, each with the indices of its layers. */
  public Map<FeedForwardConfig.Dense, List<Integer>> dense() {
    return kinds(
        f -> f instanceof FeedForwardConfig.Dense d ? Optional.of(d) : Optional.empty());
  }

  /** The lengths of sliding windows, each with the indices of its layers. */
  public Map<Integer, List<Integer>> windows() {
    Map<Integer, List<Integer>> windows = new LinkedHashMap<>();
    for (int i = 0; i < config.layers(); i++) {
      if (config.window(i) != 0) {
        windows.computeIfAbsent(config.window(i), w -> new ArrayList<>()).add(i);
      }
    }
    return windows;
  }

  private <T> Map<T, List<Integer>> kinds(Function<FeedForwardConfig, Optional<T>> kind) {
    Map<T, List<Integer>> kinds = new LinkedHashMap<>();
    for (int i = 0; i < config.layers(); i++) {
      int layer = i;
      kind.apply(config.feedForward().get(i))
          .ifPresent(k -> kinds.computeIfAbsent(k, n -> new ArrayList<>()).add(layer));
    }
    return kinds;
  }

  /** A dense half in words. */
  public static String words(FeedForwardConfig.Dense dense) {
    return "width " + Figures.of(dense.width()) + ", " + RoutingWords.form(dense.form());
  }

  /** The attention: a few sentences. */
  public List<String> attention() {
    return AttentionWords.of(config.attention());
  }

  /** Norms, embeddings and factors of the blocks. */
  public String blocks() {
    List<String> parts = new ArrayList<>();
    String norm = config.norm() == NormKind.RMS ? "RMS norms" : "layer norms";
    parts.add(
        norm
            + (config.placement() == DecoderConfig.NormPlacement.PRE ? " before" : " after")
            + " attention and feed-forward");
    parts.add(config.tiedEmbeddings() ? "output tied to the embedding" : "output of its own");
    if (config.headBias()) {
      parts.add("a bias on the logits");
    }
    DecoderConfig.Multipliers m = config.multipliers();
    if (!m.equals(DecoderConfig.Multipliers.NONE)) {
      parts.add(
          "factors: embedding "
              + Figures.of(m.embedding())
              + ", residual "
              + Figures.of(m.residual())
              + ", logits "
              + Figures.of(m.logits()));
    }
    return String.join("; ", parts);
  }

  private static Map<String, Long> bytes(CheckpointSummary summary) {
    Map<String, Long> bytes = new LinkedHashMap<>();
    long total = 0;
    for (CheckpointSummary.Stored part : summary.parts()) {
      bytes.merge(name(part.role()), part.bytes(), Long::sum);
      total += part.bytes();
    }
    bytes.put("total", total);
    return bytes;
  }

  private static String name(Role role) {
    return switch (role) {
      case Role.Gate g -> "router";
      case Role.State state -> "state";
      case Role.RoutedExperts r -> "routed_experts";
      case Role.SharedExpert s -> "shared_experts";
      case Role.Embedding e -> "embedding";
      case Role.Norm n -> "norm";
      case Role.NonExpert n -> "non_expert";
    };
  }

  /** Adds the fields to {@code json}. */
  public void writeTo(ObjectNode json) {
    json.put("model", folder.toString());
    json.put("layout", layout);
    json.put("dtype", dtype);
    json.put("params_total", config.parameters().total());
    json.put("params_active", config.parameters().active());
    json.put("layers", config.layers());
    json.put("hidden", config.hidden());
    json.put("heads", config.attention().heads());
    json.put("kv_heads", config.attention().cached().heads());
    json.put("vocab", config.vocab());
    json.put("max_positions", config.maxPositions());
    AttentionWords.write(config.attention(), json.putObject("attention"));
    ArrayNode windows = json.putArray("sliding_windows");
    config.windows().forEach(windows::add);
    json.put("norm", Figures.field(config.norm()));
    json.put("norm_placement", Figures.field(config.placement()));
    json.put("norm_eps", config.normEps());
    json.put("tied", config.tiedEmbeddings());
    json.put("head_bias", config.headBias());
    json.put("embedding_multiplier", config.multipliers().embedding());
    json.put("residual_multiplier", config.multipliers().residual());
    json.put("logit_multiplier", config.multipliers().logits());
    ArrayNode dense = json.putArray("dense");
    dense().forEach((half, which) -> {
      ObjectNode kind = dense.addObject();
      which.forEach(kind.putArray("layers")::add);
      kind.put("ffn", half.width());
      RoutingWords.write(half.form(), kind.putObject("form"));
    });
    ArrayNode moe = json.putArray("moe");
    sparse().forEach((layer, which) -> {
      ObjectNode kind = moe.addObject();
      which.forEach(kind.putArray("layers")::add);
      RoutingWords.write(layer, layer.capacity(), kind);
    });
    ObjectNode sizes = json.putObject("bytes");
    bytes.forEach(sizes::put);
    json.put("tensors_ignored", ignored);
    json.put("bytes_ignored", ignoredBytes);
  }
}

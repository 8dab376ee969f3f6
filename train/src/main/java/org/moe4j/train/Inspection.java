package org.moe4j.train;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.moe4j.Gating;
import org.moe4j.MoeConfig;
import org.moe4j.Role;
import org.moe4j.models.DecoderConfig;
import org.moe4j.models.hf.CheckpointSummary;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/**
 * What a stored model is made of.
 *
 * @param folder of the model
 * @param layout its Hugging Face family
 * @param dtype type of most weights on disk
 * @param paramsTotal parameters
 * @param paramsActive parameters that one token meets
 * @param layers decoder blocks
 * @param hidden width of the residual stream
 * @param heads query heads
 * @param kvHeads heads of keys and values
 * @param vocab entries of the vocabulary
 * @param maxPositions longest sequence
 * @param sparse the kinds of sparse layers
 * @param bytes on disk by role, and {@code total}
 */
public record Inspection(
    Path folder,
    String layout,
    String dtype,
    long paramsTotal,
    long paramsActive,
    int layers,
    int hidden,
    int heads,
    int kvHeads,
    int vocab,
    int maxPositions,
    List<Sparse> sparse,
    Map<String, Long> bytes) {

  /**
   * Sparse layers of one kind.
   *
   * @param layers their indices
   * @param experts routed experts
   * @param topK experts of a token
   * @param expertWidth hidden width of a routed expert
   * @param sharedWidth hidden width of the shared experts together; 0 for none
   * @param router its name
   * @param gating how scores become weights, in words
   */
  public record Sparse(
      List<Integer> layers,
      int experts,
      int topK,
      int expertWidth,
      int sharedWidth,
      String router,
      String gating) {
    private static Sparse of(MoeConfig moe, List<Integer> layers) {
      return new Sparse(
          List.copyOf(layers),
          moe.experts(),
          moe.topK(),
          moe.expertWidth(),
          moe.sharedWidth(),
          moe.router(),
          moe.gating().map(Sparse::words).orElse("its own gating"));
    }

    private static String words(Gating gating) {
      String order =
          gating.order() == Gating.Order.SCORE_THEN_SELECT ? "then select" : "of the selected";
      return lower(gating.score())
          + " "
          + order
          + ", renormalise "
          + lower(gating.renormalise().when())
          + ", scale "
          + gating.scale();
    }

    private static String lower(Enum<?> word) {
      return word.name().toLowerCase(Locale.ROOT).replace('_', '-');
    }
  }

  /**
   * Looks at the model that {@code path} stands for, see {@link LanguageModel#folder}.
   *
   * @throws org.moe4j.tensor.MoeException if there is none or it is damaged
   */
  public static Inspection of(Path path) {
    Path folder = LanguageModel.folder(path);
    CheckpointSummary summary = CheckpointSummary.of(folder);
    DecoderConfig c = summary.config();
    return new Inspection(
        folder,
        summary.modelType(),
        summary.type(),
        c.parameters().total(),
        c.parameters().active(),
        c.layers(),
        c.hidden(),
        c.attention().heads(),
        c.attention().cached().heads(),
        c.vocab(),
        c.maxPositions(),
        sparse(c),
        bytes(summary));
  }

  private static List<Sparse> sparse(DecoderConfig config) {
    Map<MoeConfig, List<Integer>> kinds = new LinkedHashMap<>();
    for (int i = 0; i < config.layers(); i++) {
      int layer = i;
      config
          .feedForward()
          .get(i)
          .sparse()
          .ifPresent(moe -> kinds.computeIfAbsent(moe, m -> new ArrayList<>()).add(layer));
    }
    return kinds.entrySet().stream().map(e -> Sparse.of(e.getKey(), e.getValue())).toList();
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
    json.put("params_total", paramsTotal);
    json.put("params_active", paramsActive);
    json.put("layers", layers);
    json.put("hidden", hidden);
    json.put("heads", heads);
    json.put("kv_heads", kvHeads);
    json.put("vocab", vocab);
    json.put("max_positions", maxPositions);
    ArrayNode moe = json.putArray("moe");
    for (Sparse s : sparse) {
      ObjectNode kind = moe.addObject();
      ArrayNode indices = kind.putArray("layers");
      s.layers().forEach(indices::add);
      kind.put("experts", s.experts());
      kind.put("top_k", s.topK());
      kind.put("expert_ffn", s.expertWidth());
      kind.put("shared_ffn", s.sharedWidth());
      kind.put("router", s.router());
      kind.put("gating", s.gating());
    }
    ObjectNode sizes = json.putObject("bytes");
    bytes.forEach(sizes::put);
  }
}

package org.moe4j.models.hf;

import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.moe4j.MoeConfig;
import org.moe4j.models.EncoderDecoderConfig;
import org.moe4j.models.FeedForwardConfig;
import org.moe4j.models.ParameterCount;
import org.moe4j.tensor.StoredTensors;

/**
 * What a stored encoder-decoder is made of.
 *
 * @param folder of the model
 * @param layout its Hugging Face family
 * @param dtype type of the embedding on disk
 * @param config the shape, by the tensors
 * @param parameters in all, and those that one token of the text and one of the answer meet
 * @param bytes on disk by role, and {@code total}; what files repeat counts once
 * @param expertBytes of one routed expert on disk; 0 without sparse layers
 * @param contradictions what {@code config.json} says otherwise than the tensors
 */
public record EncoderDecoderInspection(
    Path folder,
    String layout,
    String dtype,
    EncoderDecoderConfig config,
    ParameterCount parameters,
    Map<String, Long> bytes,
    long expertBytes,
    List<String> contradictions) {

  static EncoderDecoderInspection of(
      Path folder,
      EncoderDecoderConfig config,
      StoredTensors weights,
      List<SwitchNames.Entry> entries,
      List<String> contradictions) {
    Map<String, Long> bytes = new LinkedHashMap<>();
    long total = 0;
    long expert = 0;
    for (SwitchNames.Entry entry : entries) {
      long size = weights.describe(entry.name()).bytes();
      bytes.merge(role(entry), size, Math::addExact);
      total = Math.addExact(total, size);
      if (entry.name().contains(".expert_0.")) {
        expert += size;
      }
    }
    bytes.put("total", total);
    int sparse = sparse(config.encoder()) + sparse(config.decoder());
    return new EncoderDecoderInspection(
        folder,
        SwitchConfigs.MODEL_TYPE,
        weights.describe(SwitchTensors.SHARED).dtype().label(),
        config,
        config.parameters(),
        bytes,
        sparse == 0 ? 0 : expert / sparse,
        contradictions);
  }

  private static String role(SwitchNames.Entry entry) {
    String own = entry.parameter();
    if (entry.expert()) {
      return "routed_experts";
    }
    if (own.contains(".gate.")) {
      return "router";
    }
    if (own.equals("embed.weight") || own.equals("head.weight")) {
      return "embedding";
    }
    return own.endsWith("norm.weight") ? "norm" : "non_expert";
  }

  private static int sparse(List<FeedForwardConfig> stack) {
    return (int) stack.stream().filter(f -> f.sparse().isPresent()).count();
  }

  /** Bytes of all that is no routed expert: what is in memory when experts are read on demand. */
  public long residentBytes() {
    return bytes.getOrDefault("total", 0L) - bytes.getOrDefault("routed_experts", 0L);
  }

  /** Bytes of experts that one token of an answer reads where none is in memory. */
  public long bytesPerToken() {
    return sparse(config.decoder()) * expertBytes;
  }

  /** The most bytes of experts that texts of together {@code tokens} tokens can read. */
  public long bytesPerText(long tokens) {
    return config.encoder().stream()
        .flatMap(f -> f.sparse().stream())
        .mapToInt(MoeConfig::experts)
        .mapToLong(e -> Math.min(e, tokens) * expertBytes)
        .sum();
  }
}

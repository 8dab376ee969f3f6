package org.moe4j.models.hf;

import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.moe4j.MoeConfig;
import org.moe4j.Role;
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
  private static final String ROUTED = "routed_experts";

  static EncoderDecoderInspection of(
      Path folder,
      EncoderDecoderConfig config,
      StoredTensors weights,
      WeightMap names,
      Set<String> expertNames,
      List<String> contradictions) {
    Map<String, Long> bytes = new LinkedHashMap<>();
    long total = 0;
    long routed = 0;
    for (DiskTensor tensor : names.list()) {
      long size = weights.describe(tensor.name()).bytes();
      Role role = tensor.parts().getFirst().parameter().role();
      bytes.merge(name(role), size, Math::addExact);
      total = Math.addExact(total, size);
    }
    for (String name : expertNames) {
      routed = Math.addExact(routed, weights.describe(name).bytes());
    }
    long experts = experts(config.encoder()) + experts(config.decoder());
    if (experts > 0) {
      bytes.put(ROUTED, routed);
    }
    bytes.put("total", Math.addExact(total, routed));
    return new EncoderDecoderInspection(
        folder,
        SwitchConfigs.MODEL_TYPE,
        weights.describe(SwitchTensors.SHARED).dtype().label(),
        config,
        config.parameters(),
        bytes,
        experts == 0 ? 0 : routed / experts,
        contradictions);
  }

  private static String name(Role role) {
    return switch (role) {
      case Role.Gate g -> "router";
      case Role.State state -> "state";
      case Role.RoutedExperts r -> ROUTED;
      case Role.SharedExpert s -> "shared_experts";
      case Role.Embedding e -> "embedding";
      case Role.Norm n -> "norm";
      case Role.NonExpert n -> "non_expert";
    };
  }

  private static long experts(List<FeedForwardConfig> stack) {
    return stack.stream().flatMap(f -> f.sparse().stream()).mapToLong(MoeConfig::experts).sum();
  }

  private static int sparse(List<FeedForwardConfig> stack) {
    return (int) stack.stream().filter(f -> f.sparse().isPresent()).count();
  }

  /** Bytes of all that is no routed expert: what is in memory when experts are read on demand. */
  public long residentBytes() {
    return bytes.getOrDefault("total", 0L) - bytes.getOrDefault(ROUTED, 0L);
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

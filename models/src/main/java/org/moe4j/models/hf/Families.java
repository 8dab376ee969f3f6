package org.moe4j.models.hf;

import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/** Every family of decoders that can be read. */
final class Families {
  static final List<Family> ALL =
      List.of(
          new OlmoeFamily(),
          new MixtralFamily(),
          new Qwen2MoeFamily(),
          new Qwen3MoeFamily(),
          new FlexOlmoFamily(),
          new PhimoeFamily(),
          new DeepseekV2Family(),
          new DeepseekV3Family(),
          new Glm4MoeFamily(),
          new ErnieMoeFamily(),
          new HunyuanMoeFamily(),
          new GraniteMoeFamily("granitemoe"),
          new GraniteMoeFamily("granitemoeshared"),
          new JetMoeFamily(),
          new AriaFamily(true),
          new AriaFamily(false),
          new GptOssFamily(),
          new DbrxFamily(),
          new Moe4jFamily());

  private Families() {}

  /**
   * The family that a file names.
   *
   * @throws org.moe4j.tensor.MoeException listing those there are
   */
  static Family of(ConfigFile file) {
    String type = file.text("model_type");
    if (type.equals(SwitchConfigs.MODEL_TYPE)) {
      throw file.failure(
          "model_type " + type + " is an encoder-decoder; this is for decoders alone");
    }
    return ALL.stream()
        .filter(f -> f.modelType().equals(type))
        .findFirst()
        .orElseThrow(
            () ->
                file.failure(
                    "model_type "
                        + type
                        + " is not supported; supported: "
                        + Stream.concat(
                                ALL.stream().map(Family::modelType),
                                Stream.of(SwitchConfigs.MODEL_TYPE))
                            .collect(Collectors.joining(", "))));
  }
}

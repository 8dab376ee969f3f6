package org.moe4j.models.gguf;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import org.moe4j.models.DecoderConfig;
import org.moe4j.tensor.MoeException;

/** The architectures that are written, and which of them a decoder is. */
final class Targets {
  private static final List<Target> ALL =
      List.of(
          new LlamaTarget(),
          new OlmoeTarget(),
          new MinimaxTarget(),
          new Qwen2MoeTarget(),
          new Qwen3Target(true),
          new Qwen3Target(false),
          new GraniteMoeTarget(),
          new DeepseekMoeTarget(),
          new DeepseekTarget(),
          new Glm4MoeTarget(),
          new GptOssTarget(),
          new PhimoeTarget(),
          new HunyuanMoeTarget(),
          new ErnieMoeTarget(),
          new DbrxTarget());

  /** Families whose architecture has another name. */
  private static final Map<String, String> OWN =
      Map.ofEntries(
          Map.entry("mixtral", "llama"),
          Map.entry("qwen2_moe", "qwen2moe"),
          Map.entry("qwen3_moe", "qwen3moe"),
          Map.entry("granitemoeshared", "granitemoe"),
          Map.entry("aria", "granitemoe"),
          Map.entry("aria_text", "granitemoe"),
          Map.entry("deepseek_v2", "deepseek2"),
          Map.entry("deepseek_v3", "deepseek2"),
          Map.entry("glm4_moe", "glm4moe"),
          Map.entry("gpt_oss", "gpt-oss"),
          Map.entry("hunyuan_v1_moe", "hunyuan-moe"),
          Map.entry("ernie4_5_moe", "ernie4_5-moe"));

  /** An architecture and how a decoder fits it. */
  record Choice(Target target, Fit fit) {}

  private Targets() {}

  /**
   * An architecture that computes a decoder: that of its family, else the first.
   *
   * @param what names the checkpoint in messages
   * @param modelType of the checkpoint
   * @throws MoeException if there is none, with what is in the way of the nearest
   */
  static Choice of(String what, String modelType, DecoderConfig config) {
    List<Choice> all = new ArrayList<>();
    for (Target target : ALL) {
      Fit fit = new Fit(config.maxPositions());
      target.check(config, fit);
      all.add(new Choice(target, fit));
    }
    String own = OWN.getOrDefault(modelType, modelType);
    return all.stream()
        .filter(c -> c.fit.obstacles().isEmpty())
        .min(Comparator.comparingInt(c -> c.target.label().equals(own) ? 0 : 1))
        .orElseThrow(() -> refusal(what, modelType, own, all));
  }

  private static MoeException refusal(String what, String modelType, String own, List<Choice> all) {
    Choice nearest =
        all.stream()
            .filter(c -> c.target.label().equals(own))
            .findFirst()
            .orElseGet(
                () ->
                    all.stream()
                        .min(Comparator.comparingInt(c -> c.fit.obstacles().size()))
                        .orElseThrow());
    return new MoeException(
        what
            + ": no architecture of GGUF computes this "
            + modelType
            + " model, which has "
            + String.join(", ", nearest.fit.obstacles())
            + " beyond "
            + nearest.target.label()
            + "; known: "
            + ALL.stream().map(Target::label).collect(Collectors.joining(", ")));
  }
}

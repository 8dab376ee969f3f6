package org.moe4j.models.gguf;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.SplittableRandom;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.moe4j.engine.Engine;
import org.moe4j.engine.Engine.Addition;
import org.moe4j.engine.EngineOptions;
import org.moe4j.engine.Sampling;
import org.moe4j.engine.gguf.GgmlType;
import org.moe4j.models.Decoder;
import org.moe4j.models.hf.LoadProgress;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.Safetensors;
import org.moe4j.tensor.Scope;

/** Checkpoints as GGUF files, against the decoders they come from, transformers and llama.cpp. */
class GgufExportTest {
  /** Architectures of GGUF that the engine does not run. */
  private static final Set<String> NOT_RUN = Set.of("hunyuan-moe", "ernie4_5-moe", "dbrx");

  /** What transformers' checkpoints have that their own architecture in GGUF has not. */
  private static final Map<String, String> REFUSED =
      Map.ofEntries(
          Map.entry("aria_text-base", "a shared expert of another form beyond granitemoe"),
          Map.entry("dbrx-p2", "its gating (renormalised softmax alone is known) beyond dbrx"),
          Map.entry("deepseek_v2-group", "biases in the attention beyond deepseek2"),
          Map.entry("deepseek_v3-plain", "biases in the attention beyond deepseek2"),
          Map.entry("ernie4_5_moe-interval", "a bias on the logits"),
          Map.entry("flex_olmo-base", "norms behind its branches"),
          Map.entry("flex_olmo-norm", "norms behind its branches"),
          Map.entry("hunyuan_v1_moe-list", "sparse layers that differ beyond hunyuan-moe"),
          Map.entry("jetmoe-base", "another kind of attention"),
          Map.entry("jetmoe-eps", "another kind of attention"),
          Map.entry("olmoe-clip", "clamped queries, keys and values"),
          Map.entry("qwen2_moe-base", "which has a dense layer beyond qwen2moe"),
          Map.entry("qwen2_moe-window", "a dense layer"),
          Map.entry("qwen3_moe-base", "which has a dense layer beyond qwen3moe"),
          Map.entry("qwen3_moe-fused", "which has a dense layer beyond qwen3moe"),
          Map.entry("qwen3_moe-yarn", "a dense layer"));

  /** Where near ties, another magnitude or unrounded bounds of YaRN make other logits. */
  private static final Set<String> NEAR = Set.of("phimoe-short", "phimoe-long");

  /** The engine keeps keys and values in half precision. */
  private static final double NEARLY = 3e-3;

  @TempDir private Path folder;

  static List<Path> families() {
    return Exports.checkpoints();
  }

  static List<String> drawn() {
    return List.copyOf(Drawn.models().keySet());
  }

  private GgufExport.Result export(Path from, GgmlType type) {
    return GgufExport.run(from, folder.resolve("out.gguf"), type, LoadProgress.NONE);
  }

  @ParameterizedTest
  @MethodSource("families")
  void logitsOfFamiliesAreThoseOfTransformers(Path from) {
    String name = from.getFileName().toString();
    if (REFUSED.containsKey(name)) {
      assertThatThrownBy(() -> export(from, GgmlType.F32))
          .isInstanceOf(MoeException.class)
          .hasMessageContaining(REFUSED.get(name))
          .hasMessageContaining("known: llama, olmoe,");
      assertThat(folder).isEmptyDirectory();
      return;
    }
    String architecture = export(from, GgmlType.F32).architecture();
    if (NOT_RUN.contains(architecture) || NEAR.contains(name)) {
      return;
    }
    EngineOptions exact = EngineOptions.DEFAULT.withThreads(1).withExact(true);
    try (Engine engine = Engine.open(folder.resolve("out.gguf"), exact);
        Scope scope = Scope.open();
        Safetensors expected = Safetensors.open(from.resolve("expected.safetensors"))) {
      for (int i = 0; i < 2; i++) {
        int[] prompt = Exports.ids(from, "prompt." + i);
        int n = Math.min(prompt.length, engine.shape().context());
        if (n < prompt.length && name.equals("mixtral-dynamic")) {
          continue; // In so long a text its first tokens are turned otherwise, too.
        }
        float[] wanted = expected.load("logits." + i).toFloats();
        int width = wanted.length / prompt.length;
        float[][] logits = logits(engine, Arrays.copyOf(prompt, n));
        for (int t = 0; t < n; t++) {
          float[] row = Arrays.copyOfRange(wanted, t * width, (t + 1) * width);
          assertThat(distance(logits[t], row)).as("prompt %d token %d", i, t).isLessThan(NEARLY);
        }
        int[] greedy = Exports.ids(from, "greedy." + i);
        if (prompt.length + greedy.length <= engine.shape().context()) {
          assertThat(engine.generate(prompt, Sampling.GREEDY.withTokens(12), token -> true))
              .containsExactly(greedy);
        }
      }
    }
  }

  private static float[][] logits(Engine engine, int[] tokens) {
    return engine.step(List.of(new Addition(engine.sequence(), tokens, true)));
  }

  /** Length of the difference to that of the expected vector. */
  private static double distance(float[] actual, float[] expected) {
    double error = 0;
    double size = 0;
    for (int i = 0; i < expected.length; i++) {
      error += Math.pow((double) actual[i] - expected[i], 2);
      size += (double) expected[i] * expected[i];
    }
    return Math.sqrt(error / size);
  }

  private Path saved(String name) {
    Path model = folder.resolve("model");
    Drawn.save(name, model);
    return model;
  }

  static int[] text(int n) {
    return new SplittableRandom(n).ints(n, 0, Drawn.VOCABULARY).toArray();
  }

  @ParameterizedTest
  @MethodSource("drawn")
  void logitsOfEveryArchitectureAreTheDecodersOwn(String name) {
    GgufExport.Result result = export(saved(name), GgmlType.F32);
    assertThat(name).startsWith(result.architecture().equals("llama") ? "" : result.architecture());
    if (NOT_RUN.contains(result.architecture())) {
      return;
    }
    int[] tokens = text(40);
    EngineOptions exact = EngineOptions.DEFAULT.withThreads(1).withExact(true);
    try (Decoder model = Drawn.decoder(Drawn.models().get(name), name.hashCode());
        Engine engine = Engine.open(folder.resolve("out.gguf"), exact)) {
      float[][] wanted = Drawn.logits(model, tokens);
      float[][] logits = logits(engine, tokens);
      for (int t = 0; t < tokens.length; t++) {
        assertThat(distance(logits[t], wanted[t])).as("token %d", t).isLessThan(NEARLY);
      }
    }
  }
}

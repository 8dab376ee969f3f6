package org.moe4j.models.gguf;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.SplittableRandom;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.moe4j.engine.Engine;
import org.moe4j.engine.Engine.Addition;
import org.moe4j.engine.EngineOptions;
import org.moe4j.engine.Sampler;
import org.moe4j.engine.Sampling;
import org.moe4j.engine.Sequence;
import org.moe4j.engine.gguf.GgmlType;
import org.moe4j.engine.gguf.GgufFile;
import org.moe4j.engine.gguf.GgufTensor;
import org.moe4j.models.Decoder;
import org.moe4j.models.hf.HfCheckpoint;
import org.moe4j.models.hf.LoadProgress;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.NoGrad;
import org.moe4j.tensor.Safetensors;
import org.moe4j.tensor.Scope;

/** Checkpoints as GGUF files, against the decoders they come from, transformers and llama.cpp. */
class GgufExportTest {
  /** Architectures of GGUF that the engine does not run. */
  private static final Set<String> NOT_RUN = Set.of("dbrx");

  /** What transformers' checkpoints have that their own architecture in GGUF has not. */
  static final Map<String, String> REFUSED =
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

  static List<Exports.Recorded> recorded() {
    return Exports.recorded();
  }

  /**
   * The likeliest token behind the text that llama.cpp made, at every step. It rounds activations
   * elsewhere where weights are quantised or bf16, which turns a choice among near-equal logits of
   * drawn weights now and then; f16 and f32 leave it next to no room.
   */
  @ParameterizedTest
  @MethodSource("recorded")
  void likeliestTokensAreThoseOfLlamaCpp(Exports.Recorded recorded) throws IOException {
    Path file = folder.resolve("out.gguf");
    if (NOT_RUN.contains(recorded.write(folder, file).architecture())) {
      return;
    }
    String line = line(recorded);
    try (Engine engine = Engine.open(file, EngineOptions.DEFAULT.withThreads(1))) {
      int equal = 0;
      int all = 0;
      for (int i = 0; i < 2; i++) {
        int[] prompt = recorded.prompts().get(i);
        int[] made = numbers(List.of(line.split("[|]", -1)).get(i + 1));
        if (prompt.length + made.length > engine.shape().context()) {
          continue;
        }
        Sequence sequence = engine.sequence();
        float[] logits = engine.prompt(sequence, prompt);
        for (int token : made) {
          equal += new Sampler(Sampling.GREEDY).next(logits) == token ? 1 : 0;
          all++;
          logits = engine.prompt(sequence, new int[] {token});
        }
      }
      boolean rounds = recorded.type() != GgmlType.F16 && recorded.type() != GgmlType.F32;
      assertThat(equal).isGreaterThanOrEqualTo(all - (rounds ? 4 : 1));
    }
  }

  /** What {@code greedy_exports.mjs} wrote of it. */
  private static String line(Exports.Recorded recorded) throws IOException {
    return Files.readAllLines(Exports.resource("/gguf/llama-cpp.txt")).stream()
        .filter(l -> l.startsWith(recorded + "|"))
        .findFirst()
        .orElseThrow();
  }

  private static int[] numbers(String line) {
    return Arrays.stream(line.split(" ", -1)).mapToInt(Integer::parseInt).toArray();
  }

  @Test
  void vectorsRoutersAndWhatBlocksDoNotDivideStayWide() {
    GgufExport.Result result = export(saved("deepseek2"), GgmlType.Q4_K);
    assertThat(result.remarks())
        .contains("2 tensors: rows of 128 numbers are no whole q4_k blocks of 256: q8_0")
        .contains("2 tensors: rows of 32 numbers are no whole q4_k blocks of 256: q8_0");
    try (GgufFile file = GgufFile.open(folder.resolve("out.gguf"))) {
      for (GgufTensor tensor : file.tensors()) {
        boolean vector = tensor.shape().length == 1 || tensor.name().contains("ffn_gate_inp");
        GgmlType matrix =
            tensor.columns() % 256 != 0
                ? GgmlType.Q8_0
                : tensor.name().equals("output.weight") ? GgmlType.Q6_K : GgmlType.Q4_K;
        assertThat(tensor.type()).as(tensor.name()).isEqualTo(vector ? GgmlType.F32 : matrix);
      }
      assertThat(file.metadata().whole("general.file_type")).hasValue(14);
    }
  }

  /** The codes are moved and nothing else: the numbers are those of the checkpoint. */
  @Test
  void mxfp4ExpertsPassThroughBesideQuantisedWeights() {
    Path from = Exports.resource("/families").resolve("gpt_oss-mxfp4");
    export(from, GgmlType.Q8_0);
    Path wide = folder.resolve("wide.gguf");
    GgufExport.run(from, wide, GgmlType.F32, LoadProgress.NONE);
    try (GgufFile codes = GgufFile.open(folder.resolve("out.gguf"));
        GgufFile numbers = GgufFile.open(wide)) {
      for (String part : List.of("gate", "up", "down")) {
        String name = "blk.1.ffn_" + part + "_exps.weight";
        assertThat(codes.tensor(name).type()).isEqualTo(GgmlType.MXFP4);
        assertThat(codes.tensor(name).floats()).containsExactly(numbers.tensor(name).floats());
      }
    }
  }

  @Test
  void aNumberTooLargeForHalfPrecisionIsRefusedByNameAndLeavesNothing() throws IOException {
    Path model = folder.resolve("model");
    try (Decoder decoder = Drawn.decoder(Drawn.models().get("llama"), 1);
        Scope scope = Scope.open();
        NoGrad off = NoGrad.open()) {
      decoder.head().tensor().detach().mulInPlace(1e6);
      HfCheckpoint.save(model, decoder, HfCheckpoint.SaveOptions.DEFAULT);
    }
    assertThatThrownBy(() -> export(model, GgmlType.F16))
        .isInstanceOf(MoeException.class)
        .hasMessageContaining("tensor output.weight, row ")
        .hasMessageContaining("too large for f16; use bf16 or f32");
    try (Stream<Path> left = Files.list(folder)) {
      assertThat(left).containsExactly(model);
    }
    export(model, GgmlType.BF16);
  }

  @Test
  void aFileThatIsThereIsLeftAlone() throws IOException {
    Path model = saved("llama");
    Files.writeString(folder.resolve("out.gguf"), "mine");
    assertThatThrownBy(() -> export(model, GgmlType.F16))
        .isInstanceOf(MoeException.class)
        .hasMessageEndingWith("out.gguf exists; choose another name or delete it");
    assertThat(folder.resolve("out.gguf")).hasContent("mine");
  }

  @Test
  void typesThatAreReadOnlyAreRefused() {
    assertThatThrownBy(() -> export(folder, GgmlType.Q3_K))
        .isInstanceOf(MoeException.class)
        .hasMessage("q3_k is not written; use bf16, f16, f32, q4_0, q4_k, q6_k, q8_0");
  }
}

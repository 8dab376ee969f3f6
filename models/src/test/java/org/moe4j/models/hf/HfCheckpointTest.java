package org.moe4j.models.hf;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.io.IOException;
import java.net.URISyntaxException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.moe4j.Parameter;
import org.moe4j.Role;
import org.moe4j.TokenContext;
import org.moe4j.models.Decoder;
import org.moe4j.models.DecoderConfig;
import org.moe4j.models.Generator;
import org.moe4j.models.Sampling;
import org.moe4j.models.Tiny;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.Device;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.NoGrad;
import org.moe4j.tensor.Safetensors;
import org.moe4j.tensor.SafetensorsWriter;
import org.moe4j.tensor.Scope;
import org.moe4j.tensor.Tensor;

class HfCheckpointTest {
  @TempDir Path dir;
  private Scope scope = Scope.open();

  @BeforeEach
  void open() {
    scope.close();
    scope = Scope.open();
  }

  @AfterEach
  void close() {
    scope.close();
  }

  static Path resource(String name) throws URISyntaxException {
    return Path.of(HfCheckpointTest.class.getResource("/" + name).toURI());
  }

  private static double[] logits(Decoder model, Tensor ids) {
    try (NoGrad off = NoGrad.open()) {
      TokenContext context = TokenContext.eval(ids.size(0), ids.size(1));
      return model.logits(model.forward(ids, context).hidden()).toDoubles();
    }
  }

  /** A bias of 0.001 beside 1 and a coefficient must not be rounded with the weights. */
  @Test
  void stateKeepsItsOwnTypeInABf16Checkpoint() {
    Map<String, double[]> state = new HashMap<>();
    try (Decoder model = Tiny.model(Tiny.controlled(), 1)) {
      for (Parameter p : model.parameters().all()) {
        if (p.role() instanceof Role.State) {
          state.put(p.name(), p.tensor().toDoubles());
        }
      }
      HfCheckpoint.save(dir, model, HfCheckpoint.SaveOptions.DEFAULT.withDtype(DType.BF16));
    }
    assertThat(state)
        .containsOnlyKeys(
            "layers.0.moe.gate.e_score_correction_bias",
            "layers.0.moe.balance.adaptive-mean-gate-square",
            "layers.1.moe.gate.e_score_correction_bias",
            "layers.1.moe.balance.adaptive-mean-gate-square");
    try (Decoder model = HfCheckpoint.load(dir).model()) {
      state.forEach(
          (name, values) ->
              assertThat(model.parameters().named(name).tensor().toDoubles())
                  .as(name)
                  .isEqualTo(values));
    }
  }

  @Test
  void aCheckpointWithoutItsStateIsRefused() {
    try (Decoder model = Tiny.model(Tiny.controlled(), 1)) {
      HfCheckpoint.save(dir, model, HfCheckpoint.SaveOptions.DEFAULT);
      List<SafetensorsWriter.Item> items =
          new Moe4jFamily()
              .names(model, ExpertLayout.RELEASED).list().stream()
                  .filter(p -> !p.name().equals("layers.1.moe.gate.e_score_correction_bias"))
                  .map(p -> SafetensorsWriter.Item.of(p.name(), p.tensor()))
                  .toList();
      SafetensorsWriter.writeFolder(dir, items, Map.of(), 1 << 30);
    }
    assertThatThrownBy(() -> HfCheckpoint.load(dir))
        .isInstanceOf(MoeException.class)
        .hasMessageContaining("1 tensor missing: layers.1.moe.gate.e_score_correction_bias");
  }

  /** hf/: saved by transformers. ours/: saved by us. The logits are transformers' of both. */
  @ParameterizedTest
  @ValueSource(strings = {"hf/olmoe", "hf/mixtral", "ours/olmoe", "ours/mixtral"})
  void logitsAndGreedyContinuationsEqualTransformers(String name) throws Exception {
    Path folder = resource(name);
    try (Decoder model = HfCheckpoint.load(folder).model();
        Safetensors expected = Safetensors.open(folder.resolve("expected.safetensors"))) {
      Tensor ids = expected.load("ids");
      assertThat(logits(model, ids))
          .containsExactly(expected.load("logits").toDoubles(), within(1e-4));
      int[] prompt = Arrays.stream(ids.toLongs()).mapToInt(i -> (int) i).limit(5).toArray();
      int[] made = new Generator(model, Sampling.GREEDY, Set.of()).generate(prompt, 12, t -> true);
      assertThat(Arrays.stream(made).asLongStream().toArray())
          .isEqualTo(expected.load("greedy").toLongs());
    }
  }

  /** So the files that transformers read are the files that today's code writes. */
  @ParameterizedTest
  @CsvSource({"ours/olmoe,BF16,5000000000,0", "ours/mixtral,F32,60000,1"})
  void savingWhatWasLoadedGivesTheSameBytes(String name, DType dtype, long shard, int tokens)
      throws Exception {
    Path folder = resource(name);
    HfCheckpoint.Loaded loaded = HfCheckpoint.load(folder);
    assertThat(loaded.tokens().eos()).hasSize(tokens);
    try (Decoder model = loaded.model()) {
      HfCheckpoint.save(dir, model, new HfCheckpoint.SaveOptions(dtype, shard, loaded.tokens()));
    }
    List<String> compared = new ArrayList<>();
    try (Stream<Path> files = Files.list(folder)) {
      for (Path file : files.filter(f -> !f.endsWith("expected.safetensors")).toList()) {
        compared.add(file.getFileName().toString());
        assertThat(dir.resolve(file.getFileName())).hasSameBinaryContentAs(file);
      }
    }
    try (Stream<Path> files = Files.list(dir)) {
      assertThat(files.map(f -> f.getFileName().toString())).hasSameElementsAs(compared);
    }
  }

  static Stream<DecoderConfig> shapes() {
    return Tiny.shapes();
  }

  @ParameterizedTest
  @MethodSource("shapes")
  void everyShapeComesBackAsItWas(DecoderConfig config) {
    Tensor ids = Tiny.ids(2, 9);
    double[] before;
    Map<String, double[]> values = new HashMap<>();
    try (Decoder model = Tiny.model(config, 1)) {
      before = logits(model, ids);
      model.parameters().all().forEach(p -> values.put(p.name(), p.tensor().toDoubles()));
      HfLayout.Choice choice =
          HfCheckpoint.save(dir, model, HfCheckpoint.SaveOptions.DEFAULT.withMaxShardBytes(30_000));
      assertThat(choice.layout()).isEqualTo(HfLayout.choose(config).layout());
    }
    HfCheckpoint.Loaded loaded = HfCheckpoint.load(dir);
    assertThat(loaded.tokens()).isEqualTo(SpecialTokens.NONE);
    try (Decoder model = loaded.model()) {
      assertThat(model.config()).isEqualTo(config);
      assertThat(model.parameters().all()).hasSize(values.size());
      for (Parameter p : model.parameters().all()) {
        assertThat(p.tensor().toDoubles()).as(p.name()).isEqualTo(values.get(p.name()));
      }
      assertThat(logits(model, ids)).containsExactly(before, within(1e-6));
    }
  }

  @ParameterizedTest
  @MethodSource("shapes")
  void namesCoverEveryElementOnce(DecoderConfig config) {
    try (Decoder model = Tiny.model(config, 2)) {
      HfLayout layout = HfLayout.choose(config).layout();
      for (ExpertLayout form : layout.family().layouts()) {
        long elements = 0;
        Set<Long> starts = new HashSet<>();
        WeightMap map = layout.family().names(model, form);
        map.requireCovers(model.parameters().all());
        for (DiskTensor tensor : map.list()) {
          for (DiskTensor.Part part : tensor.parts()) {
            Tensor t = part.tensor();
            elements += part.parameter().role() instanceof Role.State ? 0 : t.numel();
            assertThat(starts.add(t.segment().address())).as(tensor.name()).isTrue();
          }
        }
        assertThat(elements).isEqualTo(model.parameters().count(p -> true));
      }
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"hf/olmoe", "hf/mixtral"})
  void theFusedFormIsReadTheSame(String name) throws Exception {
    Path folder = resource(name);
    HfCheckpoint.Loaded loaded = HfCheckpoint.load(folder);
    try (Decoder model = loaded.model()) {
      List<SafetensorsWriter.Item> items =
          Families.of(ConfigFile.read(folder)).names(model, ExpertLayout.FUSED).list().stream()
              .map(p -> SafetensorsWriter.Item.of(p.name(), p.tensor()))
              .toList();
      assertThat(items)
          .extracting(i -> i.stored().name())
          .contains("model.layers.1.mlp.experts.gate_up_proj", "model.layers.0.mlp.gate.weight");
      SafetensorsWriter.writeFolder(dir, items, Map.of(), 1 << 30);
      Files.copy(folder.resolve("config.json"), dir.resolve("config.json"));
      try (Decoder again = HfCheckpoint.load(dir).model()) {
        assertThat(logits(again, Tiny.ids(1, 9))).isEqualTo(logits(model, Tiny.ids(1, 9)));
      }
    }
  }

  @Test
  void transformers4SpellingsAreRead() throws IOException, URISyntaxException {
    Path folder = resource("hf/mixtral");
    String json =
        Files.readString(folder.resolve("config.json"))
            .replaceAll("(?s)\"rope_parameters\": \\{[^}]*\\}", "\"rope_theta\": 77.0")
            .replace("\"num_local_experts\"", "\"rope_scaling\": null, \"num_local_experts\"");
    Files.writeString(dir.resolve("config.json"), json);
    Files.copy(folder.resolve("model.safetensors"), dir.resolve("model.safetensors"));
    try (Decoder model = HfCheckpoint.load(dir).model()) {
      assertThat(model.config().attention().rope().theta()).isEqualTo(77);
    }
  }

  @Test
  void aBf16ModelKeepsItsWeightsAsTheyAre() throws URISyntaxException {
    Path folder = resource("hf/mixtral");
    try (Decoder wide = HfCheckpoint.load(folder).model();
        Decoder half = HfCheckpoint.load(folder, Device.CPU, DType.BF16).model()) {
      assertThat(half.head().tensor().dtype()).isEqualTo(DType.BF16);
      assertThat(half.head().tensor().toDoubles()).isEqualTo(wide.head().tensor().toDoubles());
    }
  }
}

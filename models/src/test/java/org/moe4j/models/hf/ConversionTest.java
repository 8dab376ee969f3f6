package org.moe4j.models.hf;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.moe4j.Init;
import org.moe4j.ParameterStore;
import org.moe4j.Role;
import org.moe4j.models.Decoder;
import org.moe4j.models.Tiny;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.Mxfp4Blocks;
import org.moe4j.tensor.Safetensors;
import org.moe4j.tensor.SafetensorsWriter;
import org.moe4j.tensor.Scope;
import org.moe4j.tensor.StoredTensors;
import org.moe4j.tensor.Tensor;

class ConversionTest {
  @TempDir private Path dir;

  private static Conversion.Options options(ExpertLayout layout, DType dtype, long shard) {
    return new Conversion.Options(Optional.ofNullable(layout), Optional.ofNullable(dtype), shard);
  }

  private static void same(Path a, Path b) {
    try (Scope scope = Scope.open();
        StoredTensors x = HfCheckpoint.weights(a);
        StoredTensors y = HfCheckpoint.weights(b)) {
      assertThat(x.names()).isEqualTo(y.names());
      for (String name : x.names()) {
        assertThat(x.describe(name)).isEqualTo(y.describe(name));
        assertThat(x.load(name).toDoubles()).as(name).isEqualTo(y.load(name).toDoubles());
      }
    }
  }

  /** transformers made both folders from one model. */
  @ParameterizedTest
  @CsvSource({"mixtral,5000000000", "mixtral,9000", "qwen3_moe,30000", "granitemoe,30000"})
  void bothLayoutsAreMadeFromEachOther(String family, long shard) throws Exception {
    Path released = HfCheckpointTest.resource("families/" + family + "-base");
    Path fused = HfCheckpointTest.resource("families/" + family + "-fused");
    Path made = dir.resolve("fused");
    List<Long> told = new ArrayList<>();
    Conversion.Result result =
        Conversion.run(
            released,
            made,
            options(ExpertLayout.FUSED, null, shard),
            (done, total) -> {
              told.add(done);
              told.add(total);
            });
    same(made, fused);
    assertThat(result.layout()).isEqualTo(ExpertLayout.FUSED);
    assertThat(told).endsWith(result.bytes(), result.bytes());
    try (Safetensors in = Safetensors.open(made)) {
      assertThat(result.bytes()).isEqualTo(in.bytes());
      assertThat(result.tensors()).isEqualTo(in.names().size());
    }
    Path back = dir.resolve("back");
    Files.createDirectory(back);
    Conversion.run(made, back, options(ExpertLayout.RELEASED, null, shard), (d, t) -> {});
    same(back, released);
  }

  @ParameterizedTest
  @EnumSource(
      value = DType.class,
      names = {"F32", "BF16", "F16"})
  void anotherTypeEverywhereButInState(DType dtype) throws Exception {
    Path from = dir.resolve("from");
    try (Decoder model = Tiny.model(Tiny.controlled(), 1)) {
      HfCheckpoint.save(from, model, HfCheckpoint.SaveOptions.DEFAULT);
    }
    Files.writeString(from.resolve("tokenizer.json"), "{}");
    Files.writeString(from.resolve("training.bin"), "not this one");
    Path to = dir.resolve("to");
    Conversion.run(from, to, options(null, dtype, 1 << 30), LoadProgress.NONE);
    try (Safetensors a = Safetensors.open(from);
        Safetensors b = Safetensors.open(to)) {
      assertThat(b.names()).isEqualTo(a.names());
      for (String name : a.names()) {
        boolean state = name.contains("bias") || name.contains("balance.");
        DType expected = state ? a.describe(name).dtype() : dtype;
        assertThat(b.describe(name).dtype()).as(name).isEqualTo(expected);
        assertThat(b.load(name).toDoubles())
            .as(name)
            .isEqualTo(a.load(name).to(expected).toDoubles());
      }
    }
    String name = HfCheckpoint.torchName(dtype);
    assertThat(Files.readString(to.resolve("config.json")))
        .contains("\"dtype\" : \"" + name, "\"torch_dtype\" : \"" + name);
    try (Stream<Path> files = Files.list(to)) {
      assertThat(files.map(f -> f.getFileName().toString()))
          .containsExactlyInAnyOrder("config.json", "model.safetensors", "tokenizer.json");
    }
    HfCheckpoint.load(to).model().close();
  }

  @Test
  void aFamilyWithoutTheLayoutSaysSo() throws IOException {
    Path from = dir.resolve("from");
    try (Decoder model = Tiny.model(Tiny.own(), 1)) {
      HfCheckpoint.save(from, model, HfCheckpoint.SaveOptions.DEFAULT);
    }
    refused(
        from,
        dir.resolve("to"),
        options(ExpertLayout.FUSED, null, 1 << 30),
        from + ": layout fused: the family moe4j has only released");
  }

  @Test
  void nothingIsOverwrittenAndNothingIsLeft() throws Exception {
    Path from = HfCheckpointTest.resource("hf/mixtral");
    Path full = Files.createDirectory(dir.resolve("full"));
    Files.writeString(full.resolve("mine"), "x");
    Path file = Files.writeString(dir.resolve("file"), "x");
    Conversion.Options options = options(null, null, 1 << 30);
    refused(from, full, options, full + " is not empty; choose another folder or delete it");
    refused(from, file, options, file + " exists and is no folder; choose another name");
    Path damaged = Files.createDirectory(dir.resolve("damaged"));
    Files.copy(from.resolve("config.json"), damaged.resolve("config.json"));
    byte[] bytes = Files.readAllBytes(from.resolve("model.safetensors"));
    Files.write(damaged.resolve("model.safetensors"), Arrays.copyOf(bytes, bytes.length - 1));
    refused(damaged, dir.resolve("to"), options, damaged.toString());
    // A folder cannot be made inside a file.
    refused(from, file.resolve("to"), options, "cannot write " + file.resolve("to"));
    try (Stream<Path> left = Files.list(dir)) {
      assertThat(left).containsExactlyInAnyOrder(full, file, damaged);
    }
  }

  private static void refused(Path from, Path to, Conversion.Options options, String message) {
    assertThatThrownBy(() -> Conversion.run(from, to, options, LoadProgress.NONE))
        .isInstanceOf(MoeException.class)
        .hasMessageStartingWith(message)
        .satisfies(e -> assertThat(e.getMessage()).doesNotContain("\n"));
  }

  /** Whatever a family has on disk goes through its map and comes back, others' tensors too. */
  @ParameterizedTest
  @ValueSource(
      strings = {
        "dbrx-base",
        "gpt_oss-bf16",
        "aria-multimodal",
        "ernie4_5_moe-base",
        "jetmoe-base",
        "deepseek_v3-base",
        "phimoe-plain",
        "hunyuan_v1_moe-list",
        "granitemoeshared-base"
      })
  void everyFamilyGoesThroughUnchanged(String name) throws Exception {
    Path from = HfCheckpointTest.resource("families/" + name);
    Conversion.run(from, dir.resolve("to"), options(null, null, 20_000), LoadProgress.NONE);
    same(dir.resolve("to"), from);
  }

  @ParameterizedTest
  @ValueSource(strings = {"deepseek_v3-fp8", "gpt_oss-mxfp4"})
  void whatIsNoLongerQuantisedLoadsTheSame(String name) throws Exception {
    Path from = HfCheckpointTest.resource("families/" + name);
    Path to = dir.resolve("to");
    Conversion.run(from, to, options(null, DType.F32, 1 << 30), LoadProgress.NONE);
    assertThat(Files.readString(to.resolve("config.json"))).doesNotContain("quantization_config");
    try (Decoder a = HfCheckpoint.load(from).model();
        Decoder b = HfCheckpoint.load(to).model()) {
      a.parameters()
          .all()
          .forEach(
              p ->
                  assertThat(b.parameters().named(p.name()).tensor().toDoubles())
                      .as(p.name())
                      .isEqualTo(p.tensor().toDoubles()));
    }
  }

  /** Codes and scales become values, expert by expert, whichever layout they go to. */
  @ParameterizedTest
  @EnumSource(
      value = DType.class,
      names = {"F32", "BF16", "F16"})
  void mxfp4BecomesValues(DType dtype) throws Exception {
    String in = "model.layers.0.mlp.experts.gate_up_proj";
    String out = "model.layers.0.mlp.experts.down_proj";
    try (Scope scope = Scope.open();
        ParameterStore store = ParameterStore.shapes(DType.F32);
        Safetensors file = Safetensors.open(HfCheckpointTest.resource("families/gpt_oss-mxfp4"))) {
      Tensor up = Mxfp4Blocks.open(file, in).load(DType.F32);
      Tensor down = Mxfp4Blocks.open(file, out).load(DType.F32);
      long e = up.size(0);
      long h = up.size(1) / 2;
      long d = up.size(2);
      Role role = new Role.RoutedExperts(0, (int) e);
      var wIn = store.create("w_in", role, Init.zeros(), e, 2 * h, d);
      var wOut = store.create("w_out", role, Init.zeros(), e, d, h);
      WeightMap source = new WeightMap();
      source.tensor(in, e, d, 2 * h).all(wIn, w -> w.view(e, 2, h, d).permute(0, 3, 2, 1));
      source.tensor(out, e, h, d).all(wOut, w -> w.transpose(1, 2));
      WeightMap target = new WeightMap();
      target.part("gate", wIn, w -> w.narrow(1, 0, h));
      target.part("up.1", wIn, w -> w.select(0, 1).narrow(0, h, h));
      // Neither of one expert nor of all by turns: the whole is held.
      target.tensor("down", h, e * d).all(wOut, w -> w.permute(2, 0, 1));
      var sources =
          WeightLoader.sources(
              file,
              source,
              n -> n.endsWith("bias") || !(n.startsWith(in) || n.startsWith(out)),
              Quantisation.DEFAULT);
      try (WeightStream stream =
          new WeightStream(sources, target, Optional.of(dtype), LoadProgress.NONE)) {
        SafetensorsWriter.writeFolder(dir, stream.items(target), Map.of(), 1 << 30);
      }
      try (Safetensors made = Safetensors.open(dir)) {
        Tensor turns = up.view(e, h, 2, d);
        assertThat(made.load("gate").toDoubles())
            .isEqualTo(turns.select(2, 0).to(dtype).toDoubles());
        assertThat(made.load("up.1").toDoubles())
            .isEqualTo(turns.select(2, 1).select(0, 1).to(dtype).toDoubles());
        assertThat(made.load("down").toDoubles())
            .isEqualTo(down.permute(2, 0, 1).to(dtype).toDoubles());
        assertThat(made.describe("down").shape()).containsExactly(h, e * d);
      }
    }
  }
}

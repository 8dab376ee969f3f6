package org.moe4j.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.DisabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;
import org.moe4j.Gating;
import org.moe4j.MoeConfig;
import org.moe4j.ParameterStore;
import org.moe4j.engine.gguf.GgmlType;
import org.moe4j.engine.gguf.GgufFile;
import org.moe4j.models.AttentionConfig;
import org.moe4j.models.Decoder;
import org.moe4j.models.DecoderConfig;
import org.moe4j.models.FeedForwardConfig;
import org.moe4j.models.hf.HfCheckpoint;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.Device;
import org.moe4j.tensor.Safetensors;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/** {@code moe convert}, also killed and starved in a process of its own. */
class ConvertCommandTest {
  @TempDir private Path folder;

  private Path model() {
    Path path = folder.resolve("in");
    MoeConfig moe = MoeConfig.builder(64, 32, 64, 2).gating(Gating.MIXTRAL).build();
    DecoderConfig config =
        DecoderConfig.of(
            300,
            64,
            AttentionConfig.of(64, 4),
            FeedForwardConfig.every(4, new FeedForwardConfig.Moe(moe)));
    try (Decoder model = new Decoder(config, new ParameterStore(1))) {
      HfCheckpoint.save(path, model, HfCheckpoint.SaveOptions.DEFAULT);
    }
    return path;
  }

  private List<String> entries() throws IOException {
    try (Stream<Path> all = Files.list(folder)) {
      return all.map(p -> p.getFileName().toString()).filter(n -> !n.endsWith(".txt")).toList();
    }
  }

  @Test
  void convertsInspectsAndRefuses() throws Exception {
    Path in = model();
    Path out = folder.resolve("out");
    TrainCommandTest.Run run =
        TrainCommandTest.moe(
            "convert",
            in.toString(),
            out.toString(),
            "--layout",
            "fused",
            "--dtype",
            "bf16",
            "--shard-size",
            "400k",
            "--json");
    assertThat(run.status()).as(run.err()).isZero();
    JsonNode json = new JsonMapper().readTree(run.out());
    assertThat(json.path("layout").stringValue()).isEqualTo("fused");
    try (Safetensors made = Safetensors.open(out)) {
      assertThat(json.path("bytes").longValue()).isEqualTo(made.bytes());
      assertThat(made.names()).contains("model.layers.3.mlp.experts.gate_up_proj");
    }
    assertThat(out.resolve("model.safetensors.index.json")).exists();
    JsonNode seen =
        new JsonMapper().readTree(TrainCommandTest.moe("inspect", out.toString(), "--json").out());
    assertThat(seen.path("dtype").stringValue()).isEqualTo("BF16");
    assertThat(seen.path("bytes").path("routed_experts").longValue())
        .isEqualTo(4L * 64 * 3 * 64 * 32 * 2);
    assertThat(seen.path("bytes").path("total").longValue())
        .isEqualTo(json.path("bytes").longValue());
    TrainCommandTest.Run again = TrainCommandTest.moe("convert", in.toString(), out.toString());
    assertThat(again.status()).isEqualTo(1);
    assertThat(again.err()).contains("is not empty").hasLineCount(1);
    TrainCommandTest.Run wrong =
        TrainCommandTest.moe("convert", in.toString(), "x", "--shard-size", "0");
    assertThat(wrong.status()).isEqualTo(2);
    assertThat(wrong.err()).contains("use a size such as 500m or 5g");
  }

  @Test
  void writesGgufFilesAndRefusesWhatMakesNoSense() throws Exception {
    Path in = model();
    Path out = folder.resolve("out.gguf");
    TrainCommandTest.Run run =
        TrainCommandTest.moe("convert", in.toString(), out.toString(), "--type", "q8_0", "--json");
    assertThat(run.status()).as(run.err()).isZero();
    JsonNode json = new JsonMapper().readTree(run.out());
    assertThat(json.path("architecture").stringValue()).isEqualTo("llama");
    assertThat(json.path("remarks").path(0).stringValue()).contains("no tokenizer.json");
    try (GgufFile file = GgufFile.open(out)) {
      assertThat(file.tensor("blk.3.ffn_up_exps.weight").type()).isEqualTo(GgmlType.Q8_0);
      assertThat(file.tensors()).hasSize(json.path("tensors").intValue());
    }
    assertThat(refusal("convert", in.toString(), out.toString())).contains("out.gguf exists");
    assertThat(refusal("convert", out.toString(), "folder"))
        .contains("GGUF files are not converted; give the folder with config.json");
    assertThat(refusal("convert", in.toString(), "x.gguf", "--dtype", "bf16"))
        .contains("--layout, --dtype and --shard-size are not for GGUF files; use --type");
    assertThat(refusal("convert", in.toString(), "x", "--type", "q4_0"))
        .contains("end OUT in .gguf");
    assertThat(refusal("convert", in.toString(), "x.gguf", "--type", "q9"))
        .contains("'q9': use f32, f16, bf16, q8_0, q6_k, q4_k or q4_0");
    assertThat(entries()).containsExactlyInAnyOrder("in", "out.gguf");
  }

  private static String refusal(String... args) throws Exception {
    TrainCommandTest.Run run = TrainCommandTest.moe(args);
    assertThat(run.status()).isNotZero();
    return run.err();
  }

  @Test
  @DisabledOnOs(value = OS.WINDOWS, disabledReason = "signals and limits are those of POSIX")
  void killedInTheMiddleItLeavesNoHalfModel() throws Exception {
    Path in = model();
    Path out = folder.resolve("out");
    // Hundreds of small files: most of the time goes into writing them.
    Child child =
        Child.start(
            folder,
            "convert",
            in.toString(),
            out.toString(),
            "--shard-size",
            "1k",
            "--dtype",
            "bf16");
    String temporary = ".out." + child.pid() + ".tmp";
    assertThat(child.makes(folder.resolve(temporary).resolve("config.json")))
        .as(child.err())
        .isTrue();
    child.signal("KILL");
    assertThat(child.status()).isNotZero();
    assertThat(entries()).containsExactlyInAnyOrder("in", temporary);
    TrainCommandTest.Run run =
        TrainCommandTest.moe("convert", in.toString(), out.toString(), "--dtype", "bf16");
    assertThat(run.status()).as(run.err()).isZero();
    HfCheckpoint.load(out, Device.CPU, DType.BF16).model().close();
  }

  /** A limit on the size of files fails a write in its middle, as a full disk does. */
  @Test
  @DisabledOnOs(value = OS.WINDOWS, disabledReason = "signals and limits are those of POSIX")
  void aWriteThatFailsIsOneLineAndLeavesNothing() throws Exception {
    Path in = model();
    Child child =
        Child.start(
            List.of("sh", "-c", "ulimit -f 1000; exec \"$@\"", "sh"),
            folder,
            "convert",
            in.toString(),
            folder.resolve("out").toString());
    assertThat(child.status()).isEqualTo(1);
    assertThat(child.err().lines().filter(l -> l.startsWith("moe: ")).toList())
        .singleElement()
        .asString()
        .contains("cannot write", "File too large");
    assertThat(entries()).containsExactly("in");
  }
}

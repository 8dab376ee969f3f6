package org.moe4j.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.moe4j.engine.Engine;
import org.moe4j.engine.EngineOptions;
import org.moe4j.engine.gguf.GgmlType;
import org.moe4j.engine.gguf.GgufFile;
import org.moe4j.engine.gguf.GgufWriter;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/** {@code moe plan} on a small file of which half lies in experts. */
class PlanCommandTest {
  private static final Path MODELS = Path.of("..", "engine", "src", "test", "resources", "models");
  private static final int LAYERS = 3;
  private static final int EXPERTS = 16;

  @TempDir Path folder;
  private Path model;

  private static GgufWriter.Item item(String name, GgmlType type, long... shape) {
    return new GgufWriter.Item(
        name,
        type,
        shape,
        (row, into) -> {
          for (int i = 0; i < into.length; i++) {
            into[i] = (float) Math.sin((double) row + i);
          }
        });
  }

  @BeforeEach
  void write() {
    List<GgufWriter.Item> items = new ArrayList<>();
    items.add(item("token_embd.weight", GgmlType.Q8_0, 128, 288));
    items.add(item("output.weight", GgmlType.Q8_0, 128, 288));
    items.add(item("output_norm.weight", GgmlType.F32, 128));
    for (int i = 0; i < LAYERS; i++) {
      String p = "blk." + i + ".";
      for (String name : List.of("attn_norm", "ffn_norm", "attn_q_norm", "attn_k_norm")) {
        items.add(item(p + name + ".weight", GgmlType.F32, 128));
      }
      for (String name : List.of("attn_q", "attn_k", "attn_v", "attn_output")) {
        items.add(item(p + name + ".weight", GgmlType.Q8_0, 128, 128));
      }
      items.add(item(p + "ffn_gate_inp.weight", GgmlType.F32, 128, EXPERTS));
      items.add(item(p + "ffn_gate_exps.weight", GgmlType.Q4_0, 128, 256, EXPERTS));
      items.add(item(p + "ffn_up_exps.weight", GgmlType.Q4_0, 128, 256, EXPERTS));
      items.add(item(p + "ffn_down_exps.weight", GgmlType.Q4_0, 256, 128, EXPERTS));
    }
    model = folder.resolve("m.gguf");
    Map<String, Object> metadata =
        new LinkedHashMap<>(
            Map.ofEntries(
                Map.entry("general.architecture", "olmoe"),
                Map.entry("olmoe.context_length", 512L),
                Map.entry("olmoe.embedding_length", 128L),
                Map.entry("olmoe.block_count", (long) LAYERS),
                Map.entry("olmoe.feed_forward_length", 256L),
                Map.entry("olmoe.attention.head_count", 4L),
                Map.entry("olmoe.attention.layer_norm_rms_epsilon", 1e-5),
                Map.entry("olmoe.expert_count", (long) EXPERTS),
                Map.entry("olmoe.expert_used_count", 4L)));
    try (GgufFile other = GgufFile.open(MODELS.resolve("mixtral-f16.gguf"))) {
      other
          .metadata()
          .values()
          .forEach(
              (key, value) -> {
                if (key.startsWith("tokenizer.")) {
                  metadata.put(key, value);
                }
              });
    }
    GgufWriter.write(model, metadata, items, bytes -> {});
  }

  private TrainCommandTest.Run plan(String... more) {
    List<String> args = new ArrayList<>(List.of("plan", model.toString()));
    args.addAll(List.of(more));
    args.addAll(List.of("--bandwidth", "10g", "--disk-bandwidth", "1g", "--threads", "2"));
    return TrainCommandTest.moe(args.toArray(String[]::new));
  }

  private JsonNode json(String... more) {
    String[] args = new String[more.length + 1];
    args[0] = "--json";
    System.arraycopy(more, 0, args, 1, more.length);
    TrainCommandTest.Run run = plan(args);
    assertThat(run.status()).as(run.err()).isZero();
    return new JsonMapper().readTree(run.out());
  }

  /** One that leaves some experts on disk. */
  private String budget() {
    return Long.toString(json().at("/memory_minimum").longValue() + 500_000);
  }

  @Test
  void withoutABudgetEverythingIsInMemory() {
    JsonNode all = json();
    assertThat(all.at("/fits").booleanValue()).isTrue();
    assertThat(all.at("/flags").size()).isZero();
    assertThat(all.at("/speed/misses_per_token").doubleValue()).isZero();
    for (JsonNode role : all.at("/roles")) {
      if (!role.at("/role").stringValue().equals("embedding")) {
        assertThat(role.at("/memory_bytes")).isEqualTo(role.at("/memory_bytes_if_all"));
      }
    }
  }

  @Test
  void sumsAndMissesFollowFromTheBudget() {
    JsonNode all = json();
    long budget = (all.at("/memory_minimum").longValue() + all.at("/memory_bytes").longValue()) / 2;
    JsonNode some = json("--memory", Long.toString(budget));
    assertThat(some.at("/memory_budget").longValue()).isEqualTo(budget);
    assertThat(some.at("/memory_bytes").longValue()).isBetween(budget - 200_000, budget);
    assertThat(some.at("/fits").booleanValue()).isFalse();
    long sum = 0;
    for (JsonNode role : some.at("/roles")) {
      sum += role.at("/memory_bytes").longValue();
    }
    for (String part : List.of("kv_cache_bytes", "scratch_bytes", "jvm_bytes", "staging_bytes")) {
      sum += some.at("/" + part).longValue();
    }
    assertThat(some.at("/memory_bytes").longValue()).isEqualTo(sum);
    double misses = 0;
    for (JsonNode layer : some.at("/experts/in_memory")) {
      int held = layer.at("/experts").intValue();
      assertThat(held).isBetween(1, EXPERTS - 1);
      assertThat(layer.at("/bytes_on_disk_each").longValue())
          .isEqualTo(GgmlType.Q4_0.bytes(3 * 128 * 256));
      misses += 4 * (1 - held / (double) EXPERTS);
    }
    assertThat(some.at("/speed/misses_per_token").doubleValue())
        .isBetween(misses - 0.01, misses + 0.01);
    double seconds =
        some.at("/speed/memory_bytes_per_token").longValue() / 10e9
            + some.at("/speed/disk_bytes_per_token").longValue() / 1e9;
    assertThat(some.at("/speed/decode_tok_s_at_most").doubleValue())
        .isBetween(0.99 / seconds, 1.01 / seconds);
    assertThat(some.at("/flags").toString()).isEqualTo("[\"--memory\",\"" + budget + "\"]");
  }

  @Test
  void plannedMemoryIsWhatTheEngineAccepts() {
    long least = json().at("/memory_minimum").longValue();
    EngineOptions options = EngineOptions.DEFAULT.withThreads(2).withMemory(least);
    try (Engine engine = Engine.open(model, options)) {
      assertThat(engine.prompt(engine.sequence(), new int[] {1, 2, 3})).hasSize(288);
      assertThat(engine.offloadStatistics().misses()).isPositive();
    }
    TrainCommandTest.Run refused = plan("--memory", Long.toString(least - 1));
    assertThat(refused.status()).isEqualTo(1);
    assertThat(refused.err()).contains("it needs at least " + least).hasLineCount(1);
  }

  @Test
  void textIsTheSameWithExpertsOnDiskAndTheDocumentTellsOfThem() {
    String[] how = {
      "generate",
      model.toString(),
      "--prompt",
      "one two",
      "--max-tokens",
      "9",
      "--threads",
      "2",
      "--json"
    };
    TrainCommandTest.Run whole = TrainCommandTest.moe(how);
    assertThat(whole.status()).as(whole.err()).isZero();
    String[] budgeted = Arrays.copyOf(how, how.length + 2);
    budgeted[how.length] = "--memory";
    budgeted[how.length + 1] = json().at("/memory_minimum").asString();
    TrainCommandTest.Run offloaded = TrainCommandTest.moe(budgeted);
    assertThat(offloaded.status()).as(offloaded.err()).isZero();
    JsonNode expected = new JsonMapper().readTree(whole.out());
    JsonNode actual = new JsonMapper().readTree(offloaded.out());
    assertThat(actual.at("/text")).isEqualTo(expected.at("/text"));
    assertThat(expected.has("offload")).isFalse();
    assertThat(actual.at("/offload/misses").longValue()).isPositive();
    assertThat(actual.at("/offload/bytes_read").longValue()).isPositive();
    TrainCommandTest.Run folderRun =
        TrainCommandTest.moe("generate", folder.toString(), "--prompt", "x", "--memory", "1g");
    assertThat(folderRun.status()).isEqualTo(1);
    assertThat(folderRun.err()).contains("--memory is for GGUF files").hasLineCount(1);
  }

  @Test
  void contextTakesItsKeysAndValues() {
    long one = json("--context", "64").at("/kv_cache_bytes").longValue();
    assertThat(json("--context", "256").at("/kv_cache_bytes").longValue()).isEqualTo(4 * one);
    assertThat(json().at("/context").intValue()).isEqualTo(512);
    TrainCommandTest.Run refused = plan("--context", "513");
    assertThat(refused.err()).contains("m.gguf").contains("1 to 512").hasLineCount(1);
  }

  @Test
  void textFitsATerminal() {
    String budget = budget();
    TrainCommandTest.Run run = plan("--memory", budget);
    assertThat(run.status()).as(run.err()).isZero();
    assertThat(run.out().lines()).allMatch(line -> line.length() <= TextTable.WIDTH + 60);
    assertThat(run.out())
        .contains("of the 16 of each layer in memory, the others on disk")
        .contains("--memory " + budget)
        .contains("routed experts");
  }

  @Test
  void speedIsMeasuredIfItIsNotGiven() {
    TrainCommandTest.Run run =
        TrainCommandTest.moe(
            "plan", model.toString(), "--memory", budget(), "--threads", "2", "--json");
    assertThat(run.status()).as(run.err()).isZero();
    JsonNode speed = new JsonMapper().readTree(run.out()).at("/speed");
    assertThat(speed.at("/memory_bandwidth").longValue()).isPositive();
    assertThat(speed.at("/disk_bandwidth").longValue()).isPositive();
  }

  @Test
  void folderOrDamagedFileIsOneLine() throws IOException {
    TrainCommandTest.Run folderRun = TrainCommandTest.moe("plan", folder.toString());
    assertThat(folderRun.status()).isEqualTo(1);
    assertThat(folderRun.err()).contains("moe convert").hasLineCount(1);
    Path cut = java.nio.file.Files.write(folder.resolve("cut.gguf"), new byte[] {'G', 'G', 'U'});
    TrainCommandTest.Run cutRun = TrainCommandTest.moe("plan", cut.toString());
    assertThat(cutRun.status()).isEqualTo(1);
    assertThat(cutRun.err()).contains("cut.gguf").hasLineCount(1);
  }
}

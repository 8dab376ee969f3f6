package org.moe4j.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.moe4j.train.RunLock;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

class TrainCommandTest {
  @TempDir Path folder;

  record Run(int status, String out, String err) {}

  static Run moe(String... args) {
    StringWriter out = new StringWriter();
    StringWriter err = new StringWriter();
    int status = Moe.run(Moe.COMMANDS, new PrintWriter(out), new PrintWriter(err), args);
    return new Run(status, out.toString(), err.toString());
  }

  /** Arguments that train a tiny model within a second. */
  static String[] tiny(Path folder, String... more) {
    List<String> args = new ArrayList<>(List.of("train"));
    for (String set :
        List.of(
            "run.dir=" + folder.resolve("runs"),
            "run.name=tiny",
            "run.threads=1",
            "data.source=" + folder.resolve("corpus.txt"),
            "data.vocab-size=300",
            "data.sequence-length=16",
            "data.validation-fraction=0.1",
            "model.layers=1",
            "model.hidden=16",
            "model.heads=2",
            "model.kv-heads=2",
            "moe.experts=4",
            "moe.expert-ffn=16",
            "train.steps=12",
            "train.batch-size=2",
            "train.checkpoint-every=4")) {
      args.add("--set");
      args.add(set);
    }
    Stream.of(more).forEach(args::add);
    return args.toArray(String[]::new);
  }

  static void corpus(Path folder) throws IOException {
    StringBuilder text = new StringBuilder();
    for (int i = 0; i < 200; i++) {
      text.append("thing ").append(i).append(": one of the ").append(i % 7).append(" kinds\n\n");
    }
    Files.writeString(folder.resolve("corpus.txt"), text);
  }

  @BeforeEach
  void text() throws IOException {
    corpus(folder);
  }

  private Run train(String... more) {
    return moe(tiny(folder, more));
  }

  /** Every file of a folder with its size and time, to see that nothing changed. */
  private static Map<String, String> files(Path folder) throws IOException {
    Map<String, String> files = new TreeMap<>();
    try (Stream<Path> all = Files.walk(folder)) {
      for (Path file : all.filter(Files::isRegularFile).toList()) {
        // The lock's file may be touched.
        if (!file.endsWith(".lock")) {
          files.put(file.toString(), Files.size(file) + " " + Files.getLastModifiedTime(file));
        }
      }
    }
    return files;
  }

  @Test
  void trainsPrintsAndGenerates() {
    Run run = train();
    assertThat(run.err()).contains("training in", "step 12/12", "load max/mean");
    assertThat(run.status()).isZero();
    assertThat(run.out())
        .contains("bits per byte", "order-0", "order-2", "samples", "runs/tiny", "summary.json");
    String model = folder.resolve("runs/tiny").toString();
    Run text = moe("generate", model, "--prompt", "thing 5:", "--max-tokens", "12");
    assertThat(text.status()).isZero();
    assertThat(text.err()).isEmpty();
    Run json = moe("generate", model, "--prompt", "thing 5:", "--max-tokens", "12", "--json");
    JsonNode node = new JsonMapper().readTree(json.out());
    assertThat(text.out()).isEqualTo(node.path("text").stringValue() + System.lineSeparator());
    String[] two = {
      "generate", model, "--prompt", "thing 5:", "--prompt", "é", "--max-tokens", "12"
    };
    Run both = moe(two);
    JsonNode list = new JsonMapper().readTree(moe(with(two, "--json")).out());
    JsonNode first = list.path("results").path(0);
    JsonNode second = list.path("results").path(1);
    assertThat(list.path("results").size()).isEqualTo(2);
    assertThat(first.path("text")).isEqualTo(node.path("text"));
    assertThat(second.path("prompt").stringValue()).isEqualTo("é");
    assertThat(list.path("tokens").intValue())
        .isEqualTo(first.path("tokens").intValue() + second.path("tokens").intValue());
    assertThat(both.out().lines())
        .containsSubsequence("thing 5:", "", "é")
        .contains(first.path("text").stringValue().lines().findFirst().orElse(""));
    String anew = moe(with(two, "--json", "--no-cache")).out();
    assertThat(new JsonMapper().readTree(anew).path("results")).isEqualTo(list.path("results"));
    Run slow =
        moe(
            "generate",
            model,
            "--prompt",
            "thing 5:",
            "--max-tokens",
            "12",
            "--json",
            "--no-cache");
    assertThat(new JsonMapper().readTree(slow.out()).path("text")).isEqualTo(node.path("text"));
    Run drawn =
        moe(
            "generate",
            model + "/model",
            "--prompt",
            "é",
            "--temperature",
            "1.5",
            "--seed",
            "3",
            "--top-p",
            "0.9");
    assertThat(drawn.status()).isZero();
    Run seen = moe("inspect", model, "--json");
    JsonNode parts = new JsonMapper().readTree(seen.out());
    assertThat(parts.path("moe").get(0).path("experts").intValue()).isEqualTo(4);
    long bytes = parts.path("params_total").longValue() * 4;
    assertThat(parts.path("bytes").path("total").longValue()).isEqualTo(bytes);
    assertThat(moe("inspect", model).out()).contains("top 2 of 4");
  }

  @Test
  void theResultIsOneDocument() {
    Run run = train("--json");
    JsonNode json = new JsonMapper().readTree(run.out());
    assertThat(
            List.of(
                "val_bpb",
                "baseline_order0_bpb",
                "baseline_order2_bpb",
                "tokens_per_s",
                "seconds",
                "params_total",
                "params_active"))
        .allMatch(field -> json.path(field).isNumber());
    assertThat(json.path("samples").size()).isEqualTo(3);
  }

  @Test
  void theConfigurationIsPrintedWhole() {
    Run run = moe("train", "--print-config", "--set", "train.steps=77");
    assertThat(run.status()).isZero();
    assertThat(run.out()).contains("[moe]", "steps = 77", "# ");
    assertThat(run.err()).isEmpty();
  }

  @Test
  void resumesByFolderByNameAndTheLastUnfinishedOne() {
    assertThat(train("--set", "train.steps=4").status()).isZero();
    Path run = folder.resolve("runs/tiny");
    String[] runs = {"--set", "run.dir=" + folder.resolve("runs")};
    assertThat(moe("train", "--resume", run.toString()).status()).isZero();
    assertThat(moe("train", "--resume", "tiny", runs[0], runs[1]).status()).isZero();
    Run none = moe("train", "--resume", runs[0], runs[1]);
    assertThat(none.status()).isEqualTo(1);
    assertThat(none.err()).contains("no unfinished run", "--resume RUN").hasLineCount(1);
  }

  private void assertRefused(Run run, String... words) {
    assertThat(run.status()).as(run.err()).isEqualTo(1);
    assertThat(run.out()).isEmpty();
    assertThat(run.err().lines().filter(l -> !l.endsWith(" ...")).toList())
        .singleElement()
        .asString()
        .startsWith("moe: ")
        .contains(words);
  }

  @Test
  void badInputIsOneLineAndLeavesNothing() throws IOException {
    Files.writeString(folder.resolve("empty.txt"), "\n \n");
    Files.write(folder.resolve("latin1.txt"), new byte[] {'c', 'a', 'f', (byte) 0xe9, '\n'});
    Files.writeString(folder.resolve("rows.jsonl"), "{\"body\":\"x\"}\n{\"body\":\"y\"}\n");
    Files.writeString(folder.resolve("typo.toml"), "[train]\nstep = 5\n");
    Map<String, String> before = files(folder);
    assertRefused(train("--set", "data.source=" + folder.resolve("no.txt")), "no.txt");
    assertRefused(train("--set", "data.source=" + folder.resolve("empty.txt")), "empty.txt");
    assertRefused(train("--set", "data.source=" + folder.resolve("latin1.txt")), "UTF-8");
    assertRefused(
        train("--set", "data.source=" + folder.resolve("rows.jsonl")), "rows.jsonl", "text");
    assertRefused(train("--set", "model.heads=3"), "heads = 3", "hidden = 16");
    assertRefused(train("--set", "moe.top-k=5"), "top-k = 5", "experts = 4");
    assertRefused(train("--set", "moe.capacity-factor=1.2"), "capacity-factor", "dropless");
    assertRefused(train("--set", "moe.expert=3"), "moe.expert", "experts");
    assertRefused(moe("train", folder.resolve("typo.toml").toString()), "typo.toml", "steps");
    assertRefused(moe("train", folder.resolve("no.toml").toString()), "no.toml");
    assertRefused(moe("train", "--resume", folder.resolve("no").toString()), "no run to resume");
    assertThat(files(folder)).isEqualTo(before);
  }

  @Test
  void badModelsAreOneLine() throws IOException {
    Path run = folder.resolve("runs/tiny");
    assertThat(train("--set", "train.steps=1").status()).isZero();
    assertRefused(moe("generate", folder + "/no", "--prompt", "x"), "no such file");
    assertRefused(moe("generate", folder.toString(), "--prompt", "x"), "no model here");
    String model = run.resolve("model").toString();
    assertRefused(
        moe("generate", model, "--prompt", "x", "--no-cache", "--temperature", "1"), "--no-cache");
    assertRefused(moe("generate", model, "--prompt", "x", "--top-p", "2"), "top_p");
    assertRefused(moe("generate", model, "--prompt", "x", "--max-tokens", "0"), "--max-tokens");
    assertThat(moe("generate", model).status()).isEqualTo(2);
    truncate(run.resolve("model/model.safetensors"));
    assertRefused(moe("generate", model, "--prompt", "x"), "model.safetensors");
    assertRefused(moe("inspect", model), "model.safetensors");
    Files.delete(run.resolve("model/tokenizer.json"));
    assertRefused(moe("generate", model, "--prompt", "x"), "tokenizer.json");
  }

  @Test
  void badCheckpointsAreOneLineAndNothingIsLost() throws IOException {
    assertThat(train().status()).isZero();
    Path run = folder.resolve("runs/tiny");
    Map<String, String> before = files(run);
    assertRefused(train(), "holds a run already");
    assertRefused(
        moe("train", "--resume", run.toString(), "--set", "model.hidden=32"), "another shape");
    try (RunLock lock = RunLock.acquire(run)) {
      assertRefused(moe("train", "--resume", run.toString()), "in use");
    }
    assertThat(files(run)).isEqualTo(before);
    truncate(run.resolve("checkpoints/step-000012/trainer/optimizer.safetensors"));
    before = files(run);
    assertRefused(moe("train", "--resume", run.toString()), "optimizer.safetensors");
    assertThat(files(run)).isEqualTo(before);
  }

  private static void truncate(Path file) throws IOException {
    try (FileChannel channel = FileChannel.open(file, StandardOpenOption.WRITE)) {
      channel.truncate(channel.size() / 2);
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"dropless", "buffers", "one-hot"})
  void benchTimesALayer(String dispatcher) {
    String small = "--tokens 20 --hidden 8 --ffn 8 --experts 4 --steps 2 --threads 1 --json";
    Run run =
        moe(("bench layer --dtype bf16 --dispatcher " + dispatcher + " " + small).split(" ", -1));
    assertThat(run.status()).as(run.err()).isZero();
    assertThat(run.out()).contains("\"ms\"", "\"tokens_per_s\"", "\"tokens\" : 20");
  }

  @Test
  void benchOfNothingIsRefused() {
    Run run = moe("bench", "layer", "--tokens", "0");
    assertThat(run.status()).isEqualTo(1);
    assertThat(run.err()).contains("steps and tokens must be at least 1");
  }

  @Test
  void benchTimesAStep() {
    Run run =
        moe(
            "bench",
            "train",
            "--layers",
            "1",
            "--hidden",
            "16",
            "--heads",
            "2",
            "--experts",
            "4",
            "--ffn",
            "16",
            "--vocab",
            "50",
            "--seq",
            "8",
            "--batch",
            "2",
            "--steps",
            "2",
            "--dtype",
            "bf16",
            "--threads",
            "1",
            "--json");
    assertThat(run.err()).isEmpty();
    JsonNode json = new JsonMapper().readTree(run.out());
    // Embeddings, attention with its norms, router, experts, three norms.
    int parameters = 2 * 50 * 16 + 4 * 256 + 32 + 4 * 16 + 4 * 3 * 256 + 3 * 16;
    assertThat(json.path("params").intValue()).isEqualTo(parameters);
    assertThat(json.path("tokens_per_s").doubleValue()).isPositive();
    assertThat(json.path("ms").doubleValue()).isPositive();
    assertThat(json.path("dtype").stringValue()).isEqualTo("bf16");
  }

  private static String[] with(String[] arguments, String... more) {
    return Stream.concat(Arrays.stream(arguments), Arrays.stream(more)).toArray(String[]::new);
  }
}

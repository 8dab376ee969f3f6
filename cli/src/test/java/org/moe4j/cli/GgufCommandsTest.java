package org.moe4j.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.moe4j.cli.TrainCommandTest.Run;
import org.moe4j.engine.Completion;
import org.moe4j.engine.Engine;
import org.moe4j.engine.Sampling;
import org.moe4j.engine.gguf.GgufFile;
import org.moe4j.engine.gguf.GgufTensor;
import org.moe4j.engine.gguf.GgufWriter;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/** GGUF files on the command line: a tiny random model with a chat template put into it. */
class GgufCommandsTest {
  private static final String TEMPLATE =
      "{{ bos_token }}{% for m in messages %}{% if m.content == 'no' %}"
          + "{{ raise_exception('not that') }}{% endif %}{{ m.role }}: {{ m.content }}\n"
          + "{% endfor %}assistant:";
  private static final Path MODELS = Path.of("..", "engine", "src", "test", "resources", "models");
  private static final Sampling TEN = Sampling.GREEDY.withTokens(10);

  @TempDir static Path folder;
  private static Path model;

  @BeforeAll
  static void write() {
    model = folder.resolve("tiny.gguf");
    try (GgufFile source = GgufFile.open(MODELS.resolve("mixtral-f16.gguf"))) {
      Map<String, Object> metadata = new LinkedHashMap<>(source.metadata().values());
      metadata.put("tokenizer.chat_template", TEMPLATE);
      metadata.put("general.name", "Tiny\u001b[31m");
      List<GgufWriter.Item> items = new ArrayList<>();
      source.tensors().forEach(t -> items.add(item(t)));
      GgufWriter.write(model, metadata, items, done -> {});
    }
  }

  private static GgufWriter.Item item(GgufTensor t) {
    float[] numbers = t.floats();
    return new GgufWriter.Item(
        t.name(),
        t.type(),
        t.shape(),
        (row, into) -> System.arraycopy(numbers, (int) row * t.columns(), into, 0, t.columns()));
  }

  private static Run moe(String command, String... more) {
    return TrainCommandTest.moe(
        Stream.concat(Stream.of(command, model.toString()), Arrays.stream(more))
            .toArray(String[]::new));
  }

  private static JsonNode json(String command, String... more) {
    Run run = moe(command, more);
    assertThat(run.status()).as(run.err()).isZero();
    assertThat(run.err()).isEmpty();
    return new JsonMapper().readTree(run.out());
  }

  private static Completion expected(String prompt, Sampling how) {
    try (Engine engine = Engine.open(model)) {
      return engine.generate(prompt, how, part -> {});
    }
  }

  @Test
  void generatePrintsTheEnginesText() {
    Completion made = expected("hello", TEN);
    String text = made.text();
    Run run = moe("generate", "--prompt", "hello", "--max-tokens", "10", "--threads", "1");
    assertThat(run.status()).as(run.err()).isZero();
    assertThat(run.out()).isEqualTo(text + System.lineSeparator());
    JsonNode one = json("generate", "--prompt", "hello", "--max-tokens", "10", "--json");
    assertThat(one.path("text").stringValue()).isEqualTo(text);
    assertThat(one.path("prompt").stringValue()).isEqualTo("hello");
    assertThat(one.path("prompt_tokens").intValue()).isEqualTo(9);
    assertThat(one.path("tokens").intValue()).isEqualTo(made.tokens().length);
    assertThat(one.path("finish_reason").stringValue())
        .isEqualTo(made.finish().name().toLowerCase(Locale.ROOT));
    assertThat(one.path("seconds").doubleValue()).isPositive();
    assertThat(one.path("tokens_per_s").doubleValue()).isPositive();
  }

  @Test
  void severalPromptsAreContinuedEachAsIfAlone() {
    JsonNode all =
        json("generate", "--prompt", "hello", "--prompt", "b", "--max-tokens", "10", "--json");
    assertThat(all.path("results")).hasSize(2);
    assertThat(all.path("results").get(0).path("text").stringValue())
        .isEqualTo(expected("hello", TEN).text());
    assertThat(all.path("results").get(1).path("text").stringValue())
        .isEqualTo(expected("b", TEN).text());
    assertThat(all.path("tokens").intValue())
        .isEqualTo(expected("hello", TEN).tokens().length + expected("b", TEN).tokens().length);
  }

  @Test
  void optionsReachTheSampler() {
    Sampling drawn =
        TEN.withTemperature(1.5f)
            .withLimits(40, 0.9f, 0.01f)
            .withRepetition(1.3f, 64)
            .withBias(Map.of(70, -5f, 71, 2f))
            .withSeed(9);
    String[] args = {
      "--prompt",
      "hello",
      "--max-tokens",
      "10",
      "--temperature",
      "1.5",
      "--top-k",
      "40",
      "--top-p",
      "0.9",
      "--min-p",
      "0.01",
      "--repetition-penalty",
      "1.3",
      "--logit-bias",
      "70=-5,71=2",
      "--seed",
      "9"
    };
    String text = expected("hello", drawn).text();
    assertThat(moe("generate", args).out()).isEqualTo(text + System.lineSeparator());
    String stop = expected("hello", TEN).text().substring(1);
    JsonNode ended =
        json("generate", "--prompt", "hello", "--max-tokens", "10", "--stop", stop, "--json");
    assertThat(ended.path("finish_reason").stringValue()).isEqualTo("stop");
    assertThat(ended.path("text").stringValue()).doesNotContain(stop);
  }

  @Test
  void logprobsAreInTheDocument() {
    JsonNode all =
        json("generate", "--prompt", "a", "--max-tokens", "3", "--logprobs", "2", "--json");
    assertThat(all.path("logprobs")).hasSize(3);
    JsonNode first = all.path("logprobs").get(0);
    assertThat(first.path("top")).hasSize(2);
    assertThat(first.path("logprob").doubleValue()).isNegative();
    assertThat(first.path("token")).isEqualTo(first.path("top").get(0).path("token"));
  }

  @Test
  void logitsAreThoseOfEveryPosition() {
    JsonNode rows = json("logits", "--ids", "1,70,105", "--json").path("logits");
    assertThat(rows).hasSize(3);
    try (Engine engine = Engine.open(model)) {
      float[] last = engine.prompt(engine.sequence(), new int[] {1, 70, 105});
      for (int v = 0; v < last.length; v++) {
        assertThat((float) rows.get(2).get(v).doubleValue()).isEqualTo(last[v]);
      }
    }
    Run table = moe("logits", "--ids", "1,70");
    assertThat(table.out()).contains("70 'C'").contains("1 '<s>'");
    assertThat(moe("logits", "--ids", "1,999").err())
        .isEqualTo("moe: " + model + ": token 999 is not in its vocabulary of 288\n");
  }

  @Test
  void inspectSaysWhatTheHeaderSays() {
    JsonNode seen = json("inspect", "--json");
    assertThat(seen.path("architecture").stringValue()).isEqualTo("llama");
    assertThat(seen.path("layers").intValue()).isEqualTo(2);
    assertThat(seen.path("experts").intValue()).isEqualTo(4);
    long total = seen.path("params_total").longValue();
    // Of 4 experts 2 are met: half of 2 layers' 4 x 3 matrices of 64 x 32 is idle.
    assertThat(total - seen.path("params_active").longValue()).isEqualTo(2 * 2 * 3 * 64 * 32);
    assertThat(seen.path("tokenizer").path("tokens").intValue()).isEqualTo(288);
    assertThat(seen.path("bytes").path("routed").longValue()).isEqualTo(2 * 4 * 3 * 64 * 32 * 2);
    Run text = moe("inspect");
    assertThat(text.out())
        .contains("gguf, llama", "mostly f16", "288 tokens, a chat template", "routed experts")
        .doesNotContain("\u001b");
  }

  private static Run chat(Path file, String input, String... more) {
    InputStream before = System.in;
    System.setIn(new ByteArrayInputStream(input.getBytes(StandardCharsets.UTF_8)));
    try {
      return TrainCommandTest.moe(
          Stream.concat(
                  Stream.of("chat", file.toString(), "--max-tokens", "8"), Arrays.stream(more))
              .toArray(String[]::new));
    } finally {
      System.setIn(before);
    }
  }

  @Test
  void chatFollowsTheTemplateInTheFile() {
    Sampling eight = Sampling.GREEDY.withTokens(8);
    String first = expected("user: hello\nassistant:", eight).text();
    Run one = chat(model, "hello\n");
    assertThat(one.status()).as(one.err()).isZero();
    assertThat(one.out()).isEqualTo(first + System.lineSeparator());
    String history = "user: hello\nassistant: " + first + "\nuser: and?\nassistant:";
    assertThat(chat(model, "hello\nand?\n").out())
        .isEqualTo(
            first
                + System.lineSeparator()
                + expected(history, eight).text()
                + System.lineSeparator());
    String system = expected("system: be brief\nuser: hello\nassistant:", eight).text();
    assertThat(chat(model, "hello\n", "--system", "be brief").out())
        .isEqualTo(system + System.lineSeparator());
  }

  @Test
  void failuresAreOneLine() throws IOException {
    assertThat(chat(model, "no\n").err())
        .isEqualTo("moe: " + model + ": tokenizer.chat_template: not that\n");
    assertThat(chat(model, "long ".repeat(100) + "\n").err())
        .contains("the conversation has", "the model takes 256; /reset begins a new one");
    assertThat(chat(MODELS.resolve("llama-f16.gguf"), "a\n").err())
        .endsWith(
            "there is no chat template (tokenizer.chat_template) in its metadata;"
                + " moe generate continues a text without one\n");
    refused("--dtype is for models in folders", "generate", "--prompt", "a", "--dtype", "bf16");
    refused("--no-cache is for models in folders", "generate", "--prompt", "a", "--no-cache");
    refused("--experts-memory", "logits", "--ids", "1", "--experts-memory", "1g");
    refused("--decoder-ids", "logits", "--ids", "1", "--decoder-ids", "1");
    refused("--logprobs are part of what --json", "generate", "--prompt", "a", "--logprobs", "2");
    refused("threads is 0", "generate", "--prompt", "a", "--threads", "0");
    refused("topP is 2.0", "generate", "--prompt", "a", "--top-p", "2");
    refused("token 999 is not in", "generate", "--prompt", "a", "--logit-bias", "999=1");
    refused("do not fit into its context", "generate", "--prompt", "a".repeat(400));
    Path missing = folder.resolve("nosuch.gguf");
    assertThat(TrainCommandTest.moe("generate", missing.toString(), "--prompt", "a").err())
        .isEqualTo("moe: " + missing + ": no such file\n");
    Path named = Files.createDirectory(folder.resolve("folder.gguf"));
    assertThat(TrainCommandTest.moe("generate", named.toString(), "--prompt", "a").err())
        .startsWith("moe: " + named)
        .contains("config.json")
        .hasLineCount(1);
    Path text = Files.writeString(folder.resolve("text.bin"), "no model");
    for (String command : List.of("generate --prompt a", "logits --ids 1", "inspect")) {
      String[] words = command.split(" ", 2);
      List<String> args = new ArrayList<>(List.of(words[0], text.toString()));
      args.addAll(words.length > 1 ? List.of(words[1].split(" ", -1)) : List.of());
      Run run = TrainCommandTest.moe(args.toArray(String[]::new));
      assertThat(run.status()).isEqualTo(Moe.FAILED);
      assertThat(run.err()).startsWith("moe: " + text).hasLineCount(1);
    }
  }

  private static void refused(String why, String command, String... more) {
    Run run = moe(command, more);
    assertThat(run.status()).isEqualTo(Moe.FAILED);
    assertThat(run.out()).isEmpty();
    assertThat(run.err()).startsWith("moe: ").contains(why).hasLineCount(1);
  }

  @Test
  void flagsForFilesAreRefusedForFolders() {
    Path other = Fixtures.family("mixtral-base");
    for (String flag : List.of("--threads", "--min-p", "--stop", "--logprobs")) {
      Run run = TrainCommandTest.moe("generate", other.toString(), "--prompt", "a", flag, "1");
      assertThat(run.err())
          .isEqualTo("moe: " + other + ": " + flag + " is for GGUF files, which this is not\n");
    }
  }

  /** Its native code takes longer to load than a small model to run. */
  @Test
  void noClassOfLibtorchIsLoaded() throws Exception {
    Path log = folder.resolve("classes.log");
    List<String> command =
        List.of(
            ProcessHandle.current().info().command().orElseThrow(),
            "-Xlog:class+load:file=" + log,
            "-XX:TieredStopAtLevel=1",
            "-cp",
            System.getProperty("java.class.path"),
            Moe.class.getName(),
            "generate",
            model.toString(),
            "--prompt",
            "hello",
            "--max-tokens",
            "3");
    Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
    process.getInputStream().readAllBytes();
    assertThat(process.waitFor(60, TimeUnit.SECONDS)).isTrue();
    assertThat(process.exitValue()).isZero();
    assertThat(Files.readAllLines(log))
        .anyMatch(line -> line.contains("org.moe4j.engine.Engine "))
        .noneMatch(line -> line.contains("org.bytedeco"));
  }
}

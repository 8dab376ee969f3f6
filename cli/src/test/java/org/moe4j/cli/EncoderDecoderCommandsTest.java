package org.moe4j.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.moe4j.cli.TrainCommandTest.Run;
import org.moe4j.tensor.Safetensors;
import org.moe4j.tensor.Scope;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/** The commands on encoder-decoders, against what transformers says of them. */
class EncoderDecoderCommandsTest {
  private static final String SHARDS = "switch_transformers-shards";

  @TempDir Path folder;

  private static Run moe(String... args) {
    return TrainCommandTest.moe(args);
  }

  private static JsonNode json(String... args) {
    Run run = moe(args);
    assertThat(run.status()).as(run.err()).isZero();
    assertThat(run.err()).isEmpty();
    return new JsonMapper().readTree(run.out());
  }

  private static long[] ids(String setting, String name) {
    try (Safetensors expected =
            Safetensors.open(Fixtures.family(setting).resolve("expected.safetensors"));
        Scope scope = Scope.open()) {
      return expected.load(name).toLongs();
    }
  }

  private static double[] numbers(String setting, String name) {
    try (Safetensors expected =
            Safetensors.open(Fixtures.family(setting).resolve("expected.safetensors"));
        Scope scope = Scope.open()) {
      return expected.load(name).toDoubles();
    }
  }

  private static String list(long[] ids) {
    return Arrays.stream(ids).mapToObj(Long::toString).collect(Collectors.joining(","));
  }

  @ParameterizedTest
  @ValueSource(
      strings = {"switch_transformers-base", "switch_transformers-capacity", SHARDS})
  void logitsAreThoseOfTransformers(String setting) {
    String path = Fixtures.family(setting).toString();
    String read = list(ids(setting, "prompt.0"));
    String decoder = list(ids(setting, "decoder.0"));
    double[] wanted = numbers(setting, "logits.0");
    for (String memory : new String[] {"", "--experts-memory=2k"}) {
      String[] args = {"logits", path, "--ids", read, "--json", "--decoder-ids", decoder, memory};
      String[] used = memory.isEmpty() ? Arrays.copyOf(args, args.length - 1) : args;
      JsonNode rows = json(used).required("logits");
      double[] got =
          rows.valueStream()
              .flatMap(JsonNode::valueStream)
              .mapToDouble(JsonNode::doubleValue)
              .toArray();
      assertThat(got).hasSameSizeAs(wanted);
      for (int i = 0; i < got.length; i++) {
        assertThat(got[i]).isCloseTo(wanted[i], within(2e-4));
      }
    }
    JsonNode first = json("logits", path, "--ids", read, "--json").required("logits");
    assertThat(first).hasSize(1);
    assertThat(first.get(0).get(3).doubleValue()).isCloseTo(wanted[3], within(2e-4));
    assertThat(moe("logits", path, "--ids", read).out().lines().skip(1))
        .singleElement()
        .asString()
        .startsWith("0         0");
    assertThat(moe("logits", path, "--ids", "1", "--decoder-ids", "0,99").err())
        .startsWith("moe: token id 99 is not in the vocabulary")
        .hasLineCount(1);
  }

  @Test
  void answersAreThoseOfTransformers() throws IOException {
    Path model = Fixtures.copy(SHARDS, folder.resolve("m"));
    Fixtures.tokenizer(model, 48, false);
    String prompt = Fixtures.words(ids(SHARDS, "prompt.1"));
    String wanted = Fixtures.words(ids(SHARDS, "greedy.1"));
    String[] args = {"generate", model.toString(), "--prompt", prompt, "--max-tokens", "12"};
    assertThat(moe(args).out()).isEqualTo(wanted + "\n");
    String[] json = Arrays.copyOf(args, args.length + 3);
    json[args.length] = "--json";
    json[args.length + 1] = "--experts-memory";
    json[args.length + 2] = "4k";
    JsonNode told = json(json);
    assertThat(told.required("text").stringValue()).isEqualTo(wanted);
    assertThat(told.required("prompt_tokens").intValue()).isEqualTo(33);
    assertThat(told.at("/experts_memory/reads").longValue()).isPositive();
    assertThat(told.at("/experts_memory/most_bytes").longValue()).isBetween(1L, 4000L);
    String[] anew = Arrays.copyOf(args, args.length + 1);
    anew[args.length] = "--no-cache";
    assertThat(moe(anew).out()).isEqualTo(wanted + "\n");
  }

  @Test
  void theEndOfThePromptIsMarked() throws IOException {
    Path model = Fixtures.copy(SHARDS, folder.resolve("m"));
    Fixtures.tokenizer(model, 48, true);
    JsonNode told = json("generate", model.toString(), "--prompt", "w5 w33", "--json");
    assertThat(told.required("prompt_tokens").intValue()).isEqualTo(3);
  }

  @Test
  void whatIsNotForThemIsOneLine() throws IOException {
    Path model = Fixtures.copy(SHARDS, folder.resolve("m"));
    String path = model.toString();
    String text = Files.writeString(folder.resolve("t.txt"), "w5 w6").toString();
    refused("tokenizer.json: no such file", "generate", path, "--prompt", "w5");
    Files.createFile(model.resolve("spiece.model"));
    refused("in this form, which spiece.model is not", "generate", path, "--prompt", "w5");
    Fixtures.tokenizer(model, 49, false);
    refused("the tokenizer has 49 tokens, the model 48", "generate", path, "--prompt", "w5");
    Fixtures.tokenizer(model, 48, false);
    String told = "config.json: model_type switch_transformers is an encoder-decoder";
    refused(told, "chat", path);
    refused(told, "route", path, "--text", text);
    refused(told, "convert", path, folder.resolve("out").toString());
    Path decoder = Fixtures.copy("mixtral-base", folder.resolve("d"));
    Fixtures.tokenizer(decoder, 48, false);
    told = "--experts-memory is for encoder-decoder models";
    refused(told, "generate", decoder.toString(), "--prompt", "w5", "--experts-memory", "1g");
    refused(told, "logits", decoder.toString(), "--ids", "5", "--experts-memory", "1g");
    refused("--decoder-ids is for", "logits", decoder.toString(), "--ids", "5", "--decoder-ids", "0");
  }

  private static void refused(String problem, String... args) {
    Run shown = moe(args);
    assertThat(shown.status()).isEqualTo(Moe.FAILED);
    assertThat(shown.out()).isEmpty();
    assertThat(shown.err()).startsWith("moe: ").contains(problem).hasLineCount(1);
  }
}

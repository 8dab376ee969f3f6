package org.moe4j.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.moe4j.cli.TrainCommandTest.Run;

/** Every command that reads a checkpoint, on every way in which it can be no checkpoint. */
class MalformedCheckpointTest {
  @TempDir Path folder;

  enum Damage {
    MISSING_FOLDER("no such file or folder"),
    EMPTY_FOLDER("no model here; name a folder with config.json"),
    CONFIG_ALONE("holds neither model.safetensors nor model.safetensors.index.json"),
    CONFIG_CUT("config.json: not valid JSON"),
    UNKNOWN_TYPE("config.json: model_type gpt2 is not supported; supported: olmoe, mixtral"),
    MISSING_SHARD("the shard model-00002-of-00002.safetensors is missing"),
    ESCAPING_INDEX("model.safetensors.index.json"),
    CUT_FILE("the file is cut or damaged"),
    CUT_HEADER("model.safetensors"),
    ANOTHER_SHAPE("a checkpoint of another shape"),
    MISSING_TENSOR("missing"),
    ENCODER_DECODER_SHARD("the shard pytorch_model-00004-of-00009.bin is missing");

    private final String told;

    Damage(String told) {
      this.told = told;
    }
  }

  private static final List<List<String>> COMMANDS =
      List.of(
          List.of("inspect"),
          List.of("inspect", "--json"),
          List.of("generate", "--prompt", "w5 w6"),
          List.of("logits", "--ids", "5,6"),
          List.of("convert", "OUT"),
          List.of("route", "--text", "TEXT"));

  static Stream<Arguments> cases() {
    return Stream.of(Damage.values())
        .flatMap(d -> COMMANDS.stream().map(c -> Arguments.of(d, c)));
  }

  private Path damaged(Damage damage) throws IOException {
    Path model = folder.resolve("model");
    if (damage == Damage.MISSING_FOLDER) {
      return model;
    }
    if (damage == Damage.EMPTY_FOLDER) {
      return Files.createDirectory(model);
    }
    if (damage == Damage.ENCODER_DECODER_SHARD) {
      Fixtures.copy("switch_transformers-shards", model);
      Files.delete(model.resolve("pytorch_model-00004-of-00009.bin"));
    } else {
      Fixtures.copy("mixtral-base", model);
    }
    Fixtures.tokenizer(model, 48, false);
    Path config = model.resolve("config.json");
    Path weights = model.resolve("model.safetensors");
    String text = Files.readString(config);
    switch (damage) {
      case CONFIG_ALONE -> Files.delete(weights);
      case CONFIG_CUT -> Files.writeString(config, text.substring(0, text.length() / 2));
      case UNKNOWN_TYPE ->
          Files.writeString(config, text.replace("\"mixtral\"", "\"gpt2\""));
      case MISSING_SHARD -> index(weights, "model-00002-of-00002.safetensors");
      case ESCAPING_INDEX -> index(weights, "../model-00002-of-00002.safetensors");
      case CUT_FILE -> cut(weights, Files.size(weights) - 1000);
      case CUT_HEADER -> cut(weights, 100);
      case ANOTHER_SHAPE ->
          Files.writeString(
              config, text.replaceAll("(\"intermediate_size\": )\\d+", "$124"));
      case MISSING_TENSOR ->
          Files.writeString(config, text.replaceAll("(\"num_hidden_layers\": )\\d+", "$13"));
      default -> {}
    }
    return model;
  }

  private static void index(Path weights, String shard) throws IOException {
    Files.move(weights, weights.resolveSibling("model-00001-of-00002.safetensors"));
    Files.writeString(
        weights.resolveSibling("model.safetensors.index.json"),
        "{\"weight_map\": {\"lm_head.weight\": \"model-00001-of-00002.safetensors\","
            + " \"model.norm.weight\": \""
            + shard
            + "\"}}");
  }

  private static void cut(Path file, long size) throws IOException {
    byte[] bytes = Files.readAllBytes(file);
    Files.write(file, Arrays.copyOf(bytes, (int) size));
  }

  @ParameterizedTest
  @MethodSource("cases")
  void oneLineAndNothingElse(Damage damage, List<String> command) throws IOException {
    Path model = damaged(damage);
    Path out = folder.resolve("out");
    Path text = Files.writeString(folder.resolve("text.txt"), "w5 w6");
    String[] args =
        Stream.concat(
                Stream.of(command.getFirst(), model.toString()),
                command.stream()
                    .skip(1)
                    .map(a -> a.equals("OUT") ? out.toString() : a)
                    .map(a -> a.equals("TEXT") ? text.toString() : a))
            .toArray(String[]::new);
    Run run = TrainCommandTest.moe(args);
    assertThat(run.status()).isEqualTo(Moe.FAILED);
    assertThat(run.out()).isEmpty();
    assertThat(run.err()).startsWith("moe: ").hasLineCount(1).doesNotContain("unexpected ");
    boolean decoderAlone = List.of("convert", "route").contains(command.getFirst());
    boolean refused = damage == Damage.ENCODER_DECODER_SHARD && decoderAlone;
    assertThat(run.err()).contains(refused ? "is an encoder-decoder" : damage.told);
    try (Stream<Path> left = Files.list(folder)) {
      assertThat(left.map(p -> p.getFileName().toString()))
          .allMatch(name -> name.equals("model") || name.equals("text.txt"));
    }
  }
}

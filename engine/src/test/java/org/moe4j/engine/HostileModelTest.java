package org.moe4j.engine;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.moe4j.engine.TinyModels.text;

import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.moe4j.engine.Engine.Addition;
import org.moe4j.engine.Generation.End;

/** Files that lie, break or change while they are open. */
class HostileModelTest {
  @TempDir Path folder;

  @ParameterizedTest
  @CsvSource({
    "olmoe.attention.head_count,0,head_count",
    "olmoe.attention.head_count,3,",
    "olmoe.attention.head_count,-1,head_count",
    "olmoe.attention.head_count_kv,0,",
    "olmoe.attention.head_count_kv,5,",
    "olmoe.attention.key_length,0,",
    "olmoe.attention.key_length,33,",
    "olmoe.attention.key_length,4294967295,key_length",
    "olmoe.attention.value_length,1000000,value_length",
    "olmoe.block_count,0,block_count",
    "olmoe.block_count,3,blk.2.",
    "olmoe.block_count,65536,blk.2.",
    "olmoe.block_count,1000000,block_count",
    "olmoe.embedding_length,0,embedding_length",
    "olmoe.embedding_length,32,token_embd",
    "olmoe.embedding_length,16777216,token_embd",
    "olmoe.context_length,0,context_length",
    "olmoe.expert_count,0,",
    "olmoe.expert_count,7,",
    "olmoe.expert_used_count,0,expert_used_count",
    "olmoe.expert_used_count,9,expert_used_count",
    "olmoe.expert_feed_forward_length,0,",
    "olmoe.expert_feed_forward_length,65,",
    "olmoe.rope.dimension_count,31,",
    "olmoe.rope.dimension_count,64,rope.dimension_count"
  })
  void metadataThatDoesNotFitIsRefusedInOneLineNamingTheFile(String key, long value, String named)
      throws Exception {
    Path file =
        TinyModels.changed(
            "olmoe-q4_0",
            folder.resolve("lying.gguf"),
            m -> {
              assertThat(m).containsKey(key);
              m.put(key, value);
            },
            (tensor, row, values) -> {});
    assertThatThrownBy(
            () -> {
              try (Engine model = Engine.open(file)) {
                model.prompt(model.sequence(), text(1, 3));
              }
            })
        .isInstanceOf(EngineException.class)
        .hasMessageContaining("lying.gguf")
        .hasMessageContaining(named == null ? "" : named)
        .hasMessageNotContainingAny("\n", "null");
  }

  @Test
  void anAbsurdContextCostsNothingUntilItIsUsed() throws Exception {
    Path file = TinyModels.longer("olmoe-q4_0", folder.resolve("m.gguf"), Integer.MAX_VALUE);
    try (Engine model = Engine.open(file)) {
      model.prompt(model.sequence(), text(1, 3));
      assertThat(model.cacheStatistics().bytes()).isLessThan(1 << 20);
    }
  }

  @Test
  void weightsThatAreNotNumbersEndInAClearErrorInsteadOfText() throws Exception {
    byte[] nan = {0, 0, (byte) 0xc0, 0x7f};
    Path file = folder.resolve("output.gguf");
    try (Engine model =
        Engine.open(TinyModels.overwritten("llama-f16", file, "output_norm.weight", 0, nan))) {
      Sequence sequence = model.sequence();
      assertThatThrownBy(() -> model.prompt(sequence, text(1, 3)))
          .isInstanceOf(EngineException.class)
          .hasMessageContaining("output.gguf: logits are not finite numbers");
      assertThat(sequence.length()).isZero();
    }
  }

  /** Of one text's token alone: NaN, infinity, and a number that is too large for what follows. */
  @ParameterizedTest
  @CsvSource({"7fc0,true", "7f80,true", "7f00,false"})
  void aTextWhoseNumbersGoBadEndsAndTheOthersGoOn(String bits, boolean fails) throws Exception {
    byte[] bad = HexFormat.of().parseHex(bits.substring(2) + bits.substring(0, 2));
    Path file = folder.resolve("embedding.gguf");
    TinyModels.overwritten("olmoe-bf16", file, "token_embd.weight", 77, bad);
    int[] good = {5, 6, 8};
    try (Engine model = Engine.open(file);
        Batch batch = model.batch(BatchOptions.DEFAULT)) {
      Sampling how = Sampling.GREEDY.withTokens(10);
      int[] expected = model.generate(good, how, token -> true);
      Collected first = new Collected();
      Collected second = new Collected();
      Generation broken = batch.add(new int[] {5, 77, 9, 4}, how, first);
      Generation whole = batch.add(good, how, second);
      while (batch.size() > 0) {
        batch.step();
      }
      assertThat(broken.end()).contains(fails ? End.FAILED : End.LENGTH);
      if (fails) {
        assertThat(broken.failure().orElseThrow().getMessage())
            .contains("embedding.gguf", "damaged")
            .doesNotContain("\n");
        assertThat(first.tokens).isEmpty();
      }
      assertThat(whole.end()).contains(End.LENGTH);
      assertThat(second.tokens)
          .containsExactly(Arrays.stream(expected).boxed().toArray(Integer[]::new));
    }
  }

  private static final class Collected implements Generation.Listener {
    final List<Integer> tokens = new ArrayList<>();

    @Override
    public boolean token(int token, float[] logits) {
      return tokens.add(token);
    }

    @Override
    public void end(Generation text) {
      assertThat(text.end()).isPresent();
    }
  }

  @Test
  void aFailedStepLeavesSequencesAsTheyWere() throws Exception {
    try (Engine model = Engine.open(TinyModels.path("llama-f16"))) {
      Sequence sequence = model.sequence();
      model.prompt(sequence, text(1, 70));
      assertThatThrownBy(
              () ->
                  model.step(
                      List.of(
                          new Addition(sequence, text(2, 10), false),
                          new Addition(model.sequence(), new int[] {-1}, false))))
          .isInstanceOf(EngineException.class);
      assertThat(sequence.length()).isEqualTo(70);
      float[] expected = model.prompt(model.sequence(), text(1, 70));
      sequence.truncate(69);
      assertThat(model.prompt(sequence, new int[] {text(1, 70)[69]})).containsExactly(expected);
    }
  }

  private Path copy() throws Exception {
    Path file = folder.resolve("model.gguf");
    return Files.copy(TinyModels.path("olmoe-bf16"), file);
  }

  @Test
  void aFileThatIsWrittenToWhileItIsOpenIsNotedAtTheNextStep() throws Exception {
    Path file = copy();
    try (Engine model = Engine.open(file)) {
      Sequence sequence = model.sequence();
      model.prompt(sequence, text(1, 5));
      try (FileChannel channel = FileChannel.open(file, StandardOpenOption.WRITE)) {
        channel.truncate(channel.size() - 10);
      }
      assertThatThrownBy(() -> model.prompt(sequence, text(2, 5)))
          .isInstanceOf(EngineException.class)
          .hasMessageContaining("model.gguf: was written to while it was open");
      assertThat(sequence.length()).isEqualTo(5);
    }
  }

  @Test
  void aFileThatIsReplacedByAnotherOfItsNameGoesOn() throws Exception {
    Path file = copy();
    try (Engine model = Engine.open(file)) {
      float[] expected = model.prompt(model.sequence(), text(1, 5));
      Path other = Files.writeString(folder.resolve("other"), "nothing");
      Files.move(other, file, java.nio.file.StandardCopyOption.REPLACE_EXISTING);
      assertThat(model.prompt(model.sequence(), text(1, 5))).containsExactly(expected);
    }
  }

  /** In a process of its own, as a fault that is not caught ends it. */
  @ParameterizedTest
  @ValueSource(strings = {"512", "none"})
  void aMappingWhoseFileIsGoneEndsInOneLineAndNotInACrash(String bits) throws Exception {
    List<String> command =
        new ArrayList<>(
            List.of(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "--enable-native-access=ALL-UNNAMED",
                "-XX:ErrorFile=" + folder.resolve("crash.log"),
                "-XX:-CreateCoredumpOnCrash",
                "-cp",
                System.getProperty("java.class.path")));
    if (!bits.equals("none")) {
      command.addAll(List.of("--add-modules=jdk.incubator.vector", "-Dmoe4j.vector.bits=" + bits));
    }
    command.add("-Dmoe4j.kernels=vector");
    command.addAll(List.of(HostileModelTest.class.getName(), copy().toString()));
    Process process =
        new ProcessBuilder(command).redirectError(ProcessBuilder.Redirect.INHERIT).start();
    String printed =
        new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8).strip();
    assertThat(folder.resolve("crash.log")).doesNotExist();
    assertThat(process.waitFor()).isZero();
    assertThat(printed.lines())
        .hasSize(3)
        .allMatch(line -> line.contains("model.gguf: was truncated"));
  }

  /** Runs a model warm, cuts its file to nothing where no name leads to it, and steps on. */
  public static void main(String[] args) throws IOException {
    Path file = Path.of(args[0]);
    try (Engine model = Engine.open(file, EngineOptions.DEFAULT.withThreads(2));
        Sequence sequence = model.sequence()) {
      for (int i = 0; i < 25; i++) {
        sequence.truncate(0);
        model.prompt(sequence, text(i, 20));
        model.prompt(sequence, new int[] {i});
      }
      try (FileChannel channel = FileChannel.open(file, StandardOpenOption.WRITE)) {
        Files.delete(file);
        channel.truncate(4096);
      }
      for (int[] tokens : List.of(text(1, 1), text(2, 20), text(3, 1))) {
        try {
          model.prompt(sequence, tokens);
          System.out.println("ran");
        } catch (EngineException e) {
          System.out.println(e.getMessage());
        }
      }
    }
  }
}

package org.moe4j.engine.text;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.net.URISyntaxException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Consumer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.moe4j.engine.EngineException;
import org.moe4j.engine.gguf.GgufFile;
import org.moe4j.engine.gguf.Metadata;

/** Tokens of llama.cpp and of the library tokenizers; see src/test/python/make_tokenizers.py. */
class TokenizerTest {
  /** llama.cpp's rules for these take only ASCII letters for capitals, and marks for no letters. */
  private static final Set<String> ASCII_CASE = Set.of("gpt-4o", "tekken");

  private static Path resource(String name) {
    try {
      return Path.of(TokenizerTest.class.getResource("/tokenizers/" + name).toURI());
    } catch (URISyntaxException e) {
      throw new AssertionError(e);
    }
  }

  private static Metadata metadata(String file, Consumer<Map<String, Object>> change) {
    try (GgufFile gguf = GgufFile.open(resource(file))) {
      Map<String, Object> values = new LinkedHashMap<>(gguf.metadata().values());
      change.accept(values);
      return new Metadata(file, values);
    }
  }

  private static Tokenizer byteLevel(String pre) {
    return Tokenizer.of(metadata("byte.gguf", m -> m.put("tokenizer.ggml.pre", pre)));
  }

  private static Tokenizer sentencePiece() {
    return Tokenizer.of(metadata("sentence.gguf", m -> {}));
  }

  private static List<String> texts() throws IOException {
    return Files.readAllLines(resource("texts.txt")).stream()
        .map(String::translateEscapes)
        .toList();
  }

  private static int[] ids(String line) {
    return line.isEmpty()
        ? new int[0]
        : Arrays.stream(line.split(" ")).mapToInt(Integer::parseInt).toArray();
  }

  static List<String> files(String ending) throws IOException {
    try (var files = Files.list(resource("byte"))) {
      return files
          .map(f -> f.getFileName().toString())
          .filter(f -> f.endsWith(ending))
          .map(f -> f.replace(ending, ""))
          .sorted()
          .toList();
    }
  }

  static List<String> ofLlamaCpp() throws IOException {
    return files(".txt");
  }

  static List<String> ofTokenizers() throws IOException {
    return files(".hf");
  }

  @ParameterizedTest
  @MethodSource("ofLlamaCpp")
  void byteLevelTokensAreThoseOfLlamaCpp(String pre) throws IOException {
    compare(byteLevel(pre), "byte/" + pre + ".txt", ASCII_CASE.contains(pre));
  }

  @Test
  void sentencePieceTokensAreThoseOfLlamaCpp() throws IOException {
    compare(sentencePiece(), "sentence.txt", false);
  }

  private static void compare(Tokenizer tokenizer, String file, boolean asciiCase)
      throws IOException {
    List<String> expected = Files.readAllLines(resource(file));
    List<String> texts = texts();
    assertThat(expected).hasSize(2 * texts.size());
    for (int i = 0; i < texts.size(); i++) {
      String text = texts.get(i);
      if (asciiCase && text.matches("(?s).*(\\p{M}|[\\p{Lu}&&[^A-Z]]).*")) {
        continue;
      }
      assertThat(tokenizer.encodePlain(text)).as(text).containsExactly(ids(expected.get(2 * i)));
      assertThat(tokenizer.encode(text)).as(text).containsExactly(ids(expected.get(2 * i + 1)));
    }
  }

  @ParameterizedTest
  @MethodSource("ofTokenizers")
  void byteLevelTokensAreThoseOfTheModelsOwnExpressions(String pre) throws IOException {
    List<String> expected = Files.readAllLines(resource("byte/" + pre + ".hf"));
    List<String> texts = texts();
    Tokenizer tokenizer = byteLevel(pre);
    for (int i = 0; i < texts.size(); i++) {
      assertThat(tokenizer.encodePlain(texts.get(i)))
          .as(texts.get(i))
          .containsExactly(ids(expected.get(i)));
    }
  }

  @Test
  void textIsThereAgainAfterDecodingAtOnceOrTokenByToken() throws IOException {
    for (Tokenizer tokenizer : List.of(byteLevel("gpt-2"), byteLevel("qwen2"), sentencePiece())) {
      for (String text : texts()) {
        int[] ids = tokenizer.encodePlain(text.replace("[USER]", ""));
        assertThat(tokenizer.decode(ids)).isEqualTo(text.replace("[USER]", ""));
        TextStream stream = tokenizer.stream();
        StringBuilder joined = new StringBuilder();
        for (int id : ids) {
          String part = stream.push(id);
          assertThat(part).doesNotContain("\ufffd");
          joined.append(part);
        }
        assertThat(joined.append(stream.finish()).toString().strip())
            .isEqualTo(text.replace("[USER]", "").strip());
      }
    }
  }

  @Test
  void charactersThatAreNeverCompletedBecomeReplacements() {
    Tokenizer tokenizer = sentencePiece();
    int first = tokenizer.id("<0xF0>").orElseThrow();
    int letter = tokenizer.id("a").orElseThrow();
    TextStream stream = tokenizer.stream();
    assertThat(stream.push(first)).isEmpty();
    assertThat(stream.push(letter)).isEqualTo("\ufffda");
    assertThat(stream.push(first)).isEmpty();
    assertThat(stream.finish()).isEqualTo("\ufffd");
    assertThat(stream.finish()).isEmpty();
    assertThat(tokenizer.decode(first, letter)).isEqualTo("\ufffda");
  }

  @Test
  void controlTokensAreReadWhereAskedForAndNotShown() {
    Tokenizer tokenizer = byteLevel("gpt-2");
    int end = tokenizer.id("<|im_end|>").orElseThrow();
    assertThat(tokenizer.encode("a<|im_end|>")).endsWith(end).hasSize(2);
    assertThat(tokenizer.encodePlain("a<|im_end|>")).doesNotContain(end);
    assertThat(tokenizer.decode(tokenizer.encode("a<|im_end|>b"))).isEqualTo("ab");
    assertThat(tokenizer.spell(end)).isEqualTo("<|im_end|>");
    assertThat(tokenizer.ends()).containsExactly(end);
    // Of two that begin at one place the longer one is meant.
    assertThat(tokenizer.encode("<|user|>now"))
        .containsExactly(tokenizer.id("<|user|>now").orElseThrow());
  }

  @Test
  void flagsSayWhatStandsAroundAText() {
    Tokenizer plain = byteLevel("gpt-2");
    assertThat(plain.encodeWhole("a")).isEqualTo(plain.encode("a"));
    int bos = plain.bos().orElseThrow();
    int eos = plain.eos().orElseThrow();
    Tokenizer flagged =
        Tokenizer.of(
            metadata(
                "byte.gguf",
                m -> {
                  m.put("tokenizer.ggml.add_bos_token", true);
                  m.put("tokenizer.ggml.add_eos_token", true);
                }));
    int a = plain.id("a").orElseThrow();
    assertThat(flagged.encodePrompt("a")).containsExactly(bos, a);
    assertThat(flagged.encodePrompt("<|begin|>a")).containsExactly(bos, a);
    assertThat(flagged.encodeWhole("a")).containsExactly(bos, a, eos);
    assertThat(byteLevel("llama-bpe").encodePrompt("a")).containsExactly(bos, a);
    assertThat(sentencePiece().encodePrompt("")).containsExactly(1);
  }

  @Test
  void phi3SpecialTokensTakeTheWhitespaceBehindThem() {
    Tokenizer tokenizer =
        Tokenizer.of(metadata("sentence.gguf", m -> m.put("general.name", "Phi-3.5 MoE")));
    assertThat(tokenizer.encode("<|user|>\n hi<|im_end|>\n"))
        .containsExactly(tokenizer.encode("<|user|>hi<|im_end|>"));
  }

  @Test
  void harmonyMarksAreShownAndOnlyWholeAnswersEnd() {
    Tokenizer tokenizer =
        Tokenizer.of(
            metadata(
                "byte.gguf",
                m -> {
                  String[] tokens = ((String[]) m.get("tokenizer.ggml.tokens")).clone();
                  List<String> marks = List.of("<|return|>", "<|call|>", "<|end|>", "<|channel|>");
                  for (int i = 0; i < marks.size(); i++) {
                    tokens[300 + i] = marks.get(i);
                  }
                  m.put("tokenizer.ggml.tokens", tokens);
                }));
    assertThat(tokenizer.ends())
        .contains(300, 301, tokenizer.eos().orElseThrow())
        .doesNotContain(302);
    assertThat(tokenizer.decode(300, 302, 303)).isEqualTo("<|end|><|channel|>");
  }

  @Test
  void idsThatOnlyFillTheMatricesHaveNoText() {
    assertThat(byteLevel("gpt-2").decode(100000)).isEmpty();
    assertThatThrownBy(() -> byteLevel("gpt-2").spell(-1)).isInstanceOf(EngineException.class);
  }

  @Test
  void halfCharactersBecomeReplacements() {
    Tokenizer tokenizer = byteLevel("gpt-2");
    assertThat(tokenizer.encode("a\ud83d")).isEqualTo(tokenizer.encode("a\ufffd"));
    assertThat(tokenizer.encode("\ude00b")).isEqualTo(tokenizer.encode("\ufffdb"));
  }

  @ParameterizedTest
  @ValueSource(
      strings = {"a", " ", "\n", "A", "1", "<", "\u4e2d", "'", "\ud83d\ude00", " x", " 5\n"})
  void longTextsOfOneKindTakeNoLongTime(String unit) throws IOException {
    String text = unit.repeat(300_000 / unit.length()) + "5";
    List<String> all = ofLlamaCpp();
    // All rules in turn would be slow in a test; which one takes part depends on the text.
    for (String pre :
        List.of("deepseek-llm", "gpt-4o", all.get(Math.floorMod(unit.hashCode(), all.size())))) {
      Tokenizer tokenizer = byteLevel(pre);
      assertThat(tokenizer.decode(tokenizer.encode(text))).isEqualTo(text);
    }
    assertThat(sentencePiece().decode(sentencePiece().encode(text))).isEqualTo(text);
  }

  @Test
  void whatIsNotKnownIsNamedWithWhatIs() {
    assertThatThrownBy(() -> byteLevel("nosuch"))
        .isInstanceOf(EngineException.class)
        .hasMessageContaining("byte.gguf: tokenizer.ggml.pre nosuch is not known")
        .hasMessageContaining("deepseek-v3, default")
        .hasMessageContaining("qwen2");
    assertThatThrownBy(
            () -> Tokenizer.of(metadata("byte.gguf", m -> m.put("tokenizer.ggml.model", "t5"))))
        .isInstanceOf(EngineException.class)
        .hasMessageContaining("tokenizer t5 is not known; known: gpt2");
  }

  @ParameterizedTest
  @ValueSource(strings = {"model", "tokens", "merges"})
  void missingPartsAreNamed(String key) {
    Metadata without = metadata("byte.gguf", m -> m.remove("tokenizer.ggml." + key));
    assertThatThrownBy(() -> Tokenizer.of(without))
        .isInstanceOf(EngineException.class)
        .hasMessageContaining("the metadata has no tokenizer.ggml." + key);
  }

  @Test
  void listsThatAreTooShortAreRefused() {
    Metadata types =
        metadata("byte.gguf", m -> m.put("tokenizer.ggml.token_type", new long[] {1, 2}));
    assertThatThrownBy(() -> Tokenizer.of(types))
        .isInstanceOf(EngineException.class)
        .hasMessageContaining("token_type has 2 of");
    Metadata scores =
        metadata("sentence.gguf", m -> m.put("tokenizer.ggml.scores", new double[] {1}));
    assertThatThrownBy(() -> Tokenizer.of(scores))
        .isInstanceOf(EngineException.class)
        .hasMessageContaining("scores has 1 of");
  }

  @Test
  void aByteWithoutTokenIsNotDroppedSilently() {
    Metadata m =
        metadata(
            "byte.gguf",
            all -> {
              String[] tokens = ((String[]) all.get("tokenizer.ggml.tokens")).clone();
              tokens[Arrays.asList(tokens).indexOf("a")] = "gone";
              all.put("tokenizer.ggml.tokens", tokens);
            });
    assertThatThrownBy(() -> Tokenizer.of(m).encode("xa"))
        .isInstanceOf(EngineException.class)
        .hasMessageContaining("no token for the byte 0x61");
  }
}

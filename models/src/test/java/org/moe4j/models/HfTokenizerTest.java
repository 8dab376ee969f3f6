package org.moe4j.models;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.net.URISyntaxException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import java.util.stream.Stream;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.moe4j.tensor.MoeException;
import tools.jackson.databind.json.JsonMapper;

/** Tokenizers of three kinds against the Python package, and damaged files. */
class HfTokenizerTest {
  private record Case(String text, int[] ids, int[] prompt, String decoded, List<String> parts) {}

  private record Cases(int vocab_size, String special, List<Case> cases) {}

  private static Path folder(String kind) {
    try {
      return Path.of(
          Objects.requireNonNull(HfTokenizerTest.class.getResource("/tokenizers/" + kind)).toURI());
    } catch (URISyntaxException e) {
      throw new IllegalStateException(e);
    }
  }

  @TestFactory
  Stream<DynamicTest> isThePythonPackage() {
    return Stream.of("byte_level", "byte_fallback", "unigram")
        .flatMap(
            kind -> {
              Cases all =
                  new JsonMapper().readValue(folder(kind).resolve("cases.json"), Cases.class);
              return all.cases().stream()
                  .map(
                      one ->
                          DynamicTest.dynamicTest(
                              kind + ": '" + one.text() + "'", () -> check(kind, all, one)));
            });
  }

  private static void check(String kind, Cases all, Case one) {
    try (HfTokenizer tokenizer = HfTokenizer.read(folder(kind).resolve("tokenizer.json"))) {
      assertThat(tokenizer.vocabSize()).isEqualTo(all.vocab_size());
      int special = tokenizer.id(all.special()).orElseThrow();
      assertThat(tokenizer.spell(special)).isEqualTo(all.special());
      assertThat(tokenizer.decode(special)).isEmpty();
      assertThat(tokenizer.encode(one.text())).isEqualTo(one.ids());
      assertThat(tokenizer.encodePrompt(one.text())).isEqualTo(one.prompt());
      assertThat(tokenizer.decode(one.ids())).isEqualTo(one.decoded());
      Tokenizer.Stream stream = tokenizer.stream();
      List<String> parts = new ArrayList<>();
      Arrays.stream(one.ids()).forEach(id -> parts.add(stream.push(id)));
      assertThat(parts).isEqualTo(one.parts());
      assertThat(String.join("", parts) + stream.finish()).isEqualTo(one.decoded());
    }
  }

  @Test
  void aCharacterComesWhenItIsComplete() {
    try (HfTokenizer tokenizer =
        HfTokenizer.read(folder("byte_fallback").resolve("tokenizer.json"))) {
      int[] ids = tokenizer.encode("\ud83e\udd16");
      assertThat(ids).hasSizeGreaterThanOrEqualTo(4);
      Tokenizer.Stream whole = tokenizer.stream();
      assertThat(Arrays.stream(ids).mapToObj(whole::push).filter(part -> !part.isBlank()))
          .containsExactly("\ud83e\udd16");
      Tokenizer.Stream cut = tokenizer.stream();
      Arrays.stream(ids, 0, ids.length - 1).forEach(cut::push);
      assertThat(cut.finish()).endsWith("\ufffd");
    }
  }

  @Test
  void halvesOfPairsAndUnknownIdsDoNoHarm() {
    try (HfTokenizer tokenizer = HfTokenizer.read(folder("byte_level").resolve("tokenizer.json"))) {
      assertThat(tokenizer.decode(tokenizer.encode("a\ud83eb"))).isEqualTo("a\ufffdb");
      assertThat(tokenizer.decode(Integer.MAX_VALUE, tokenizer.vocabSize())).isEmpty();
      assertThat(tokenizer.id("no such token")).isEmpty();
    }
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "",
        "[]",
        "{}",
        "{\"model\": 3}",
        "{\"model\": {\"vocab\": {\"a\": -1}}}",
        "{\"model\": {\"vocab\": {\"a\": 4294967296}}}",
        "{\"model\": {\"vocab\": {\"a\": \"b\"}}}",
        "{\"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": 0}, \"merges\": [\"x y\"]}}",
        "{\"model\": {\"type\": \"Unigram\", \"vocab\": [[\"a\", 0]], \"unk_id\": 7}}",
        "{\"model\": {\"type\": \"Nonsense\", \"vocab\": {\"a\": 0}}}",
        "{\"model\": {\"vocab\": {\"a\": 0}"
      })
  void damagedFilesAreOneLine(String json, @TempDir Path folder) throws IOException {
    Path file = Files.writeString(folder.resolve("tokenizer.json"), json);
    assertThatThrownBy(() -> HfTokenizer.read(file))
        .isInstanceOf(MoeException.class)
        .hasMessageStartingWith(file.toString())
        .hasMessageNotContaining("\n");
  }
}

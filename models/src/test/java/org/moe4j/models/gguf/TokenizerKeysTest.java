package org.moe4j.models.gguf;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.OptionalInt;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.moe4j.engine.gguf.Metadata;
import org.moe4j.engine.text.Tokenizer;
import org.moe4j.models.HfTokenizer;
import org.moe4j.models.hf.SpecialTokens;
import org.moe4j.tensor.MoeException;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/** Tokenizers as metadata, against the tokenizers library on the {@code tokenizer.json}. */
class TokenizerKeysTest {
  private static final JsonMapper JSON = new JsonMapper();

  private static final List<String> TEXTS =
      List.of(
          "",
          "The quick fox.",
          "  two  spaces  ",
          "line\nbreaks\r\n\n  and\ttabs \n",
          "It's what they'LL say: don't, I'D, we've.",
          "1 12 123 1234 12345678, 3.14159e-10",
          "HTTPServer camelCase snake_case <tag/> $x += y;",
          "Grüße, naïve café, Ωμέγα, привет мир",
          "漢字かな交じり文、한국어 텍스트。",
          "emoji 👩‍👩‍👧 and 🚀!!! ...",
          "with <s>special<|end|> tokens",
          "\u00a0no-break\u2003space");

  @TempDir private Path folder;

  private final List<String> remarks = new ArrayList<>();

  private static ObjectNode tokenizer(String name) throws IOException {
    Path file = Exports.resource("/tokenizers/" + name + "/tokenizer.json");
    return (ObjectNode) JSON.readTree(Files.readString(file));
  }

  private Metadata export(ObjectNode tokenizer, int size, SpecialTokens special)
      throws IOException {
    Files.writeString(folder.resolve("tokenizer.json"), JSON.writeValueAsString(tokenizer));
    return export(size, special);
  }

  private Metadata export(int size, SpecialTokens special) {
    Keys keys = new Keys("llama");
    TokenizerKeys.write(folder, size, special, keys, remarks);
    return new Metadata("test", keys.values());
  }

  private void sameAsTheLibrary(Metadata metadata) {
    Tokenizer own = Tokenizer.of(metadata);
    try (HfTokenizer library = HfTokenizer.read(folder.resolve("tokenizer.json"))) {
      for (String text : TEXTS) {
        assertThat(own.encode(text)).as("'%s'", text).containsExactly(library.encode(text));
        assertThat(own.encodePrompt(text)).containsExactly(library.encodePrompt(text));
        assertThat(own.decode(library.encode(text)))
            .isEqualTo(library.decode(library.encode(text)));
      }
    }
  }

  @Test
  void piecesWithBytesForTheRestAreThoseOfTheLibrary() throws IOException {
    Metadata metadata = export(tokenizer("byte_fallback"), 420, SpecialTokens.endingWith(2));
    assertThat(metadata.text("tokenizer.ggml.model")).hasValue("llama");
    assertThat(remarks).isEmpty();
    SpecialTokens special = new SpecialTokens(OptionalInt.of(1), Set.of(2), OptionalInt.empty());
    sameAsTheLibrary(export(420, special));
  }

  private static ObjectNode split(String rule) {
    ObjectNode step = JSON.createObjectNode().put("type", "Split").put("behavior", "Isolated");
    step.put("invert", false).putObject("pattern").put("Regex", rule);
    return step;
  }

  private static ObjectNode bytes(boolean words) {
    return JSON.createObjectNode()
        .put("type", "ByteLevel")
        .put("add_prefix_space", false)
        .put("trim_offsets", true)
        .put("use_regex", words);
  }

  private static ObjectNode digits() {
    return JSON.createObjectNode().put("type", "Digits").put("individual_digits", true);
  }

  /** The steps of released files by the name that llama.cpp has for them. */
  private static List<ObjectNode> steps(String name) {
    String ends = "(?i:'s|'t|'re|'ve|'m|'ll|'d)";
    String rest = "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
    String word = "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}";
    String upper = "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]";
    String lower = "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]";
    String slash = "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
    return switch (name) {
      case "gpt-2" -> List.of(bytes(true));
      case "starcoder" -> List.of(digits(), bytes(true));
      case "qwen2" -> List.of(split(ends + word + rest), bytes(false));
      case "smaug-bpe", "llama-bpe" -> List.of(split(ends + word + "{1,3}" + rest), bytes(false));
      case "gpt-4o" ->
          List.of(
              split(
                  upper
                      + "*"
                      + lower
                      + "+"
                      + ends
                      + "?|"
                      + upper
                      + "+"
                      + lower
                      + "*"
                      + ends
                      + "?|\\p{N}{1,3}"
                      + slash),
              bytes(false));
      case "tekken" ->
          List.of(
              split(upper + "*" + lower + "+|" + upper + "+" + lower + "*|\\p{N}" + slash),
              bytes(false));
      case "deepseek-v3" ->
          List.of(
              split("\\p{N}{1,3}"),
              split("[一-龥\u3040-ゟ゠-ヿ]+"),
              split(
                  "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+"
                      + "|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\r\n]*"
                      + "|\\s*[\r\n]+|\\s+(?!\\S)|\\s+"),
              bytes(false));
      case "deepseek-coder" ->
          List.of(
              split("[\r\n]"),
              split("\\s?\\p{L}+"),
              split("\\s?\\p{P}+"),
              split("[一-龥ࠀ-一가-\ud7ff]+"),
              digits(),
              bytes(false));
      default -> throw new IllegalArgumentException(name);
    };
  }

  @ParameterizedTest
  @CsvSource({
    "gpt-2",
    "starcoder",
    "qwen2",
    "smaug-bpe",
    "llama-bpe",
    "gpt-4o",
    "tekken",
    "deepseek-v3",
    "deepseek-coder"
  })
  void rulesForWordsAreKnownByWhatTheyAre(String name) throws IOException {
    ObjectNode root = tokenizer("byte_level");
    root.putNull("normalizer");
    ArrayNode steps =
        root.putObject("pre_tokenizer").put("type", "Sequence").putArray("pretokenizers");
    steps(name).forEach(steps::add);
    ((ObjectNode) root.get("model")).put("ignore_merges", name.equals("llama-bpe"));
    SpecialTokens special =
        new SpecialTokens(OptionalInt.of(360), Set.of(361), OptionalInt.empty());
    Metadata metadata = export(root, 370, special);
    assertThat(metadata.text("tokenizer.ggml.pre")).hasValue(name);
    assertThat(remarks).isEmpty();
    sameAsTheLibrary(metadata);
  }

  @Test
  void rulesOfNoNameAreGpt2sWithARemark() throws IOException {
    Metadata metadata = export(tokenizer("byte_level"), 362, SpecialTokens.NONE);
    assertThat(metadata.text("tokenizer.ggml.pre")).hasValue("gpt-2");
    assertThat(remarks).singleElement().asString().contains("rules that llama.cpp has no name for");
  }

  @Test
  void whatFilesSayOfSpecialTokensAndChatsIsThere() throws IOException {
    Files.writeString(
        folder.resolve("tokenizer_config.json"),
        """
        {"bos_token": "<s>", "eos_token": {"content": "<|end|>"}, "add_bos_token": false,
         "chat_template": [{"name": "default", "template": "A"}, {"name": "tool_use", "template": "B"}]}
        """);
    Files.writeString(folder.resolve("generation_config.json"), "{\"eos_token_id\": [361, 7]}");
    ObjectNode root = tokenizer("byte_level");
    ArrayNode added = (ArrayNode) root.get("added_tokens");
    ((ObjectNode) added.get(0)).put("special", true);
    added.addObject().put("id", 362).put("content", "<fim>").put("special", false);
    Metadata m = export(root, 365, SpecialTokens.endingWith(3));
    assertThat(m.whole("tokenizer.ggml.bos_token_id")).hasValue(360);
    assertThat(m.whole("tokenizer.ggml.eos_token_id")).hasValue(361);
    assertThat(m.whole("tokenizer.ggml.eot_token_id")).hasValue(3);
    // The post-processor adds it, whatever else the folder says.
    assertThat(m.flag("tokenizer.ggml.add_bos_token")).hasValue(true);
    assertThat(m.flag("tokenizer.ggml.add_eos_token")).hasValue(false);
    assertThat(m.text("tokenizer.chat_template")).hasValue("A");
    assertThat(m.text("tokenizer.chat_template.tool_use")).hasValue("B");
    long[] types = m.wholes("tokenizer.ggml.token_type").orElseThrow();
    assertThat(types[5]).isEqualTo(1);
    assertThat(types[360]).isEqualTo(3);
    assertThat(types[362]).isEqualTo(4);
    assertThat(types[364]).isEqualTo(5);
    assertThat(m.texts("tokenizer.ggml.tokens").orElseThrow())
        .hasSize(365)
        .endsWith("<fim>", "[PAD363]", "[PAD364]")
        .doesNotHaveDuplicates();
    Files.writeString(folder.resolve("chat_template.jinja"), "C");
    assertThat(export(365, SpecialTokens.NONE).text("tokenizer.chat_template")).hasValue("C");
  }

  @Test
  void withoutATokenizerTheVocabularyIsAPlaceholderAndSaidToBe() throws IOException {
    Metadata none = export(300, SpecialTokens.endingWith(4));
    assertThat(remarks).singleElement().asString().contains("no tokenizer.json", "placeholder");
    assertThat(none.texts("tokenizer.ggml.tokens").orElseThrow()).hasSize(300).endsWith("[299]");
    assertThat(none.whole("tokenizer.ggml.eos_token_id")).hasValue(4);
    assertThat(Tokenizer.of(none).decode(Tokenizer.of(none).encode("é!"))).isEqualTo("é!");
    remarks.clear();
    export(tokenizer("unigram"), 300, SpecialTokens.NONE);
    assertThat(remarks).singleElement().asString().contains("type Unigram", "placeholder");
  }

  @Test
  void damagedTokenizersAreRefusedInOneLine() throws IOException {
    Path file = folder.resolve("tokenizer.json");
    assertThatThrownBy(() -> export(tokenizer("byte_level"), 361, SpecialTokens.NONE))
        .isInstanceOf(MoeException.class)
        .hasMessage(
            file
                + ": token 361 is outside the model's vocabulary of 361; tokenizer and model do not"
                + " belong together");
    Files.writeString(file, "{\"model\": ");
    assertThatThrownBy(() -> export(361, SpecialTokens.NONE))
        .isInstanceOf(MoeException.class)
        .hasMessageContaining("malformed JSON")
        .message()
        .hasLineCount(1);
    Files.writeString(file, "[]");
    assertThatThrownBy(() -> export(361, SpecialTokens.NONE)).hasMessageContaining("JSON object");
    ObjectNode root = tokenizer("byte_level");
    ((ArrayNode) root.get("model").get("merges")).add(JSON.createArrayNode().add("one"));
    assertThatThrownBy(() -> export(root, 362, SpecialTokens.NONE))
        .hasMessageContaining("a merge is no pair of tokens");
    JsonNode broken = ((ObjectNode) tokenizer("byte_level").get("model").get("vocab")).put("x", -1);
    ObjectNode negative = tokenizer("byte_level");
    ((ObjectNode) negative.get("model")).set("vocab", broken);
    assertThatThrownBy(() -> export(negative, 362, SpecialTokens.NONE))
        .hasMessageContaining("the token 'x' has no spelling or no id");
  }
}

package org.moe4j.train.data;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.function.Consumer;
import org.assertj.core.api.AbstractThrowableAssert;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.moe4j.tensor.MoeException;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

class TokenizerJsonTest {
  private static final String JSON = Fixtures.text("tokenizer.json");

  @TempDir Path folder;

  @Test
  void pairsAreReadInBothForms() throws IOException {
    ObjectNode root = (ObjectNode) Fixtures.JSON.readTree(JSON);
    ArrayNode pairs = Fixtures.JSON.createArrayNode();
    for (var merge : root.path("model").path("merges")) {
      Arrays.stream(merge.asString().split(" ", -1)).forEach(pairs.addArray()::add);
    }
    ((ObjectNode) root.path("model")).set("merges", pairs);
    assertThat(BpeTokenizer.read(write(root.toString())).merges())
        .isEqualTo(Fixtures.tokenizer().merges());
  }

  @Test
  void truncationAnywhereIsOneLine() throws IOException {
    byte[] bytes = JSON.getBytes(StandardCharsets.UTF_8);
    for (int size = 0; size < bytes.length - 2; size += 97) {
      Path file = Files.write(folder.resolve("cut.json"), Arrays.copyOf(bytes, size));
      assertFails(file).hasMessageContaining("cut.json");
    }
  }

  @Test
  void otherKindsAreRefused() {
    assertFails(root -> model(root).put("type", "Unigram"))
        .hasMessageContaining("model.type is \"Unigram\"; only byte-level BPE");
    assertFails(root -> root.putNull("pre_tokenizer")).hasMessageContaining("pre_tokenizer.type");
    assertFails(root -> ((ObjectNode) root.path("pre_tokenizer")).put("add_prefix_space", true))
        .hasMessageContaining("pre_tokenizer.add_prefix_space is true");
    assertFails(root -> ((ObjectNode) root.path("pre_tokenizer")).put("use_regex", false))
        .hasMessageContaining("pre_tokenizer.use_regex is false");
    assertFails(root -> root.putObject("normalizer").put("type", "NFC"))
        .hasMessageContaining("normalizer is {\"type\":\"NFC\"}");
    assertFails(root -> root.putObject("post_processor").put("type", "TemplateProcessing"))
        .hasMessageContaining("post_processor");
    assertFails(root -> model(root).put("byte_fallback", true))
        .hasMessageContaining("model.byte_fallback is true");
    assertFails(root -> model(root).put("dropout", 0.1)).hasMessageContaining("model.dropout");
    assertFails(root -> ((ObjectNode) root.path("added_tokens").get(0)).put("lstrip", true))
        .hasMessageContaining("added_tokens \"<|endoftext|>\" lstrip is true");
  }

  @Test
  void lyingVocabulariesAreRefused() {
    assertFails(root -> vocab(root).put("!", 5)).hasMessageContaining("have the same id 5");
    assertFails(root -> vocab(root).put("!", Integer.MAX_VALUE))
        .hasMessageContaining("\"!\" has the id 2147483647, but there are only 700 tokens");
    assertFails(root -> vocab(root).put("!", 1L << 40)).hasMessageContaining("1099511627776");
    assertFails(root -> vocab(root).put("!", -1)).hasMessageContaining("has the id -1");
    assertFails(root -> vocab(root).put("!", "0")).hasMessageContaining("has the id \"0\"");
    assertFails(root -> vocab(root).put("a b", 700)).hasMessageContaining("not spelled in bytes");
    assertFails(root -> vocab(root).put("zzz", 701)).hasMessageContaining("gaps");
    assertFails(root -> model(root).putNull("vocab")).hasMessageContaining("model.vocab is");
    assertFails(
            root -> {
              vocab(root).remove("!");
              vocab(root).put("!?!?", 0);
            })
        .hasMessageContaining("lacks the byte 0x21");
    assertFails(root -> ((ObjectNode) root.path("added_tokens").get(0)).put("id", 3))
        .hasMessageContaining("\"$\" and \"<|endoftext|>\" have the same id 3");
  }

  @Test
  void wrongMergesAreRefused() {
    assertFails(root -> merges(root).add("qqqq z"))
        .hasMessageContaining("model.merges[443] \"qqqq z\" names \"qqqq\", which is not in");
    assertFails(root -> merges(root).add("! 9")).hasMessageContaining("names \"!9\"");
    assertFails(root -> merges(root).add("!")).hasMessageContaining("is not a pair");
    assertFails(root -> merges(root).add(7)).hasMessageContaining("is not a pair");
    assertFails(root -> merges(root).add(merges(root).get(0))).hasMessageContaining("twice");
    assertFails(root -> model(root).put("merges", 1)).hasMessageContaining("merges is missing");
  }

  @Test
  void otherFilesAreRefused() throws IOException {
    assertFails(folder.resolve("none.json")).hasMessageContaining("none.json");
    assertFails(folder).hasMessageContaining("cannot be read");
    assertFails(write("[]")).hasMessageContaining("not a JSON object");
    assertFails(write("[".repeat(100_000))).hasMessageContaining("malformed JSON");
    assertFails(write("{\"model\": 1, \"model\": 2}")).hasMessageContaining("malformed JSON");
  }

  @Test
  void writingWhereNothingCanBeWrittenLeavesNothing() {
    Path file = folder.resolve("none/tokenizer.json");
    assertThatThrownBy(() -> Fixtures.tokenizer().write(file))
        .isInstanceOf(MoeException.class)
        .hasMessageContaining("none/tokenizer.json: the tokenizer cannot be written");
    assertThat(folder).isEmptyDirectory();
  }

  private AbstractThrowableAssert<?, ?> assertFails(Consumer<ObjectNode> change) {
    ObjectNode root = (ObjectNode) Fixtures.JSON.readTree(JSON);
    change.accept(root);
    try {
      return assertFails(write(root.toString()));
    } catch (IOException e) {
      throw new AssertionError(e);
    }
  }

  private static AbstractThrowableAssert<?, ?> assertFails(Path file) {
    return assertThatThrownBy(() -> BpeTokenizer.read(file))
        .isInstanceOf(MoeException.class)
        .satisfies(e -> assertThat(e.getMessage()).doesNotContain("\n").hasSizeLessThan(400));
  }

  private Path write(String json) throws IOException {
    return Files.writeString(folder.resolve("changed.json"), json);
  }

  private static ObjectNode model(ObjectNode root) {
    return (ObjectNode) root.path("model");
  }

  private static ObjectNode vocab(ObjectNode root) {
    return (ObjectNode) model(root).path("vocab");
  }

  private static ArrayNode merges(ObjectNode root) {
    return (ArrayNode) model(root).path("merges");
  }
}

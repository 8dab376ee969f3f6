package org.moe4j.train.data;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.List;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/** The resources that src/test/python/bpe_fixtures.py made. */
final class Fixtures {
  static final JsonMapper JSON = new JsonMapper();

  private Fixtures() {}

  static String text(String name) {
    try (InputStream in = Fixtures.class.getResourceAsStream(name)) {
      return new String(in.readAllBytes(), StandardCharsets.UTF_8);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  static JsonNode json(String name) {
    return JSON.readTree(text(name));
  }

  static BpeTokenizer tokenizer() {
    return BpeTokenizer.read(Path.of("src/test/resources/org/moe4j/train/data/tokenizer.json"));
  }

  static List<String> corpus() {
    return text("bpe-corpus.txt").lines().toList();
  }

  static int[] ids(JsonNode array) {
    return array.valueStream().mapToInt(JsonNode::asInt).toArray();
  }
}

package org.moe4j.cli;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.Stream;

/** The tiny checkpoints of the module models. */
final class Fixtures {
  private Fixtures() {}

  static Path family(String setting) {
    return Path.of("..", "models", "src", "test", "resources", "families", setting);
  }

  /** A copy of a checkpoint in {@code folder}, which tests may change. */
  static Path copy(String setting, Path folder) throws IOException {
    Files.createDirectories(folder);
    try (Stream<Path> files = Files.list(family(setting))) {
      for (Path file : files.filter(f -> !f.getFileName().toString().startsWith("exp")).toList()) {
        Files.copy(file, folder.resolve(file.getFileName()));
      }
    }
    return folder;
  }

  /**
   * Writes a {@code tokenizer.json} whose token {@code n} is the word {@code wn}, but for the mark 1
   * that ends a text.
   *
   * @param marked whether it is put behind a prompt, as T5's tokenizer does
   */
  static void tokenizer(Path folder, int tokens, boolean marked) throws IOException {
    String mark =
        """
        {"type": "TemplateProcessing",
         "single": [{"Sequence": {"id": "A", "type_id": 0}},
          {"SpecialToken": {"id": "</s>", "type_id": 0}}],
         "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 0}}],
         "special_tokens": {"</s>": {"id": "</s>", "ids": [1], "tokens": ["</s>"]}}}""";
    String words =
        IntStream.range(0, tokens)
            .mapToObj(n -> "\"" + (n == 1 ? "</s>" : "w" + n) + "\": " + n)
            .collect(Collectors.joining(", "));
    Files.writeString(
        folder.resolve("tokenizer.json"),
        """
        {"version": "1.0", "truncation": null, "padding": null,
         "added_tokens": [{"id": 1, "content": "</s>", "single_word": false, "lstrip": false,
          "rstrip": false, "normalized": false, "special": true}],
         "normalizer": null, "pre_tokenizer": {"type": "WhitespaceSplit"},
         "post_processor": %s, "decoder": null,
         "model": {"type": "WordLevel", "vocab": {%s}, "unk_token": "w0"}}
        """
            .formatted(marked ? mark : "null", words));
  }

  /** The prompt of these tokens. */
  static String words(long... ids) {
    return IntStream.range(0, ids.length).mapToObj(i -> "w" + ids[i]).collect(Collectors.joining(" "));
  }
}

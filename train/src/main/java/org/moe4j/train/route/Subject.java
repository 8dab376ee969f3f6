package org.moe4j.train.route;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.moe4j.models.Decoder;
import org.moe4j.models.Tokenizer;
import org.moe4j.train.LanguageModel;
import org.moe4j.train.Loading;

/** The model that is looked at: all that is asked of it and of its tokenizer. */
final class Subject implements AutoCloseable {
  private final LanguageModel language;

  Subject(LanguageModel language) {
    this.language = language;
  }

  /** Reads the model that {@code path} stands for, see {@link LanguageModel#open}. */
  static Subject open(Path path, Loading how) {
    return new Subject(LanguageModel.open(path, how));
  }

  Decoder model() {
    return language.model();
  }

  /** Token ids are below it. */
  int vocab() {
    return language.model().config().vocab();
  }

  /**
   * The token that the model expects before a text; where its tokenizer puts none there, one that
   * ends a text, as between the texts of training.
   */
  int start() {
    int[] before = language.tokenizer().encodePrompt("");
    return before.length > 0
        ? before[0]
        : language.stopIds().stream().mapToInt(Integer::intValue).min().orElse(0);
  }

  /** The tokens of {@code text}, without any around it. */
  int[] encode(String text) {
    return language.tokenizer().encode(text);
  }

  /** The text of one token; U+FFFD for bytes that are no character by themselves. */
  String spell(int id) {
    return language.tokenizer().spell(id);
  }

  /** What each of {@code ids} adds to their text: empty where it only begins a character. */
  List<String> pieces(int[] ids) {
    Tokenizer.Stream stream = language.tokenizer().stream();
    List<String> pieces = new ArrayList<>();
    for (int id : ids) {
      pieces.add(stream.push(id));
    }
    return pieces;
  }

  @Override
  public void close() {
    language.close();
  }
}

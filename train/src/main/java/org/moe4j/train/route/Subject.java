package org.moe4j.train.route;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.moe4j.models.Decoder;
import org.moe4j.models.Tokenizer;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.Device;
import org.moe4j.train.LanguageModel;

/** The model that is looked at: all that is asked of it and of its tokenizer. */
final class Subject implements AutoCloseable {
  private final LanguageModel language;

  Subject(LanguageModel language) {
    this.language = language;
  }

  /** Reads the model that {@code path} stands for, see {@link LanguageModel#open}. */
  static Subject open(Path path, Device device, DType dtype) {
    return new Subject(LanguageModel.open(path, device, dtype));
  }

  Decoder model() {
    return language.model();
  }

  /** Token ids are below it. */
  int vocab() {
    return language.model().config().vocab();
  }

  /**
   * The tokens that the model expects before a text; where its tokenizer puts none there, one that
   * ends a text, as between the texts of training, if there is one.
   */
  int[] start() {
    int[] before = language.tokenizer().encodePrompt("");
    return before.length > 0
        ? before
        : language.stopIds().stream().mapToInt(i -> i).sorted().limit(1).toArray();
  }

  /** The tokens of {@code text}, without those that begin a text. */
  int[] encode(String text) {
    return language.tokenizer().encode(text);
  }

  /**
   * What one token looks like within a text, since some lose their space at its beginning; U+FFFD
   * for bytes that are no character by themselves.
   */
  String spell(int id) {
    Tokenizer.Stream text = language.tokenizer().stream();
    for (int before : language.tokenizer().encode("a")) {
      text.push(before);
    }
    String piece = text.push(id) + text.finish();
    return piece.isEmpty() ? language.tokenizer().spell(id) : piece;
  }

  /** What each of {@code ids} adds to their text: empty where it only begins a character. */
  List<String> pieces(int[] ids) {
    Tokenizer.Stream text = language.tokenizer().stream();
    List<String> pieces = new ArrayList<>();
    for (int id : ids) {
      pieces.add(text.push(id));
    }
    return pieces;
  }

  @Override
  public void close() {
    language.close();
  }
}

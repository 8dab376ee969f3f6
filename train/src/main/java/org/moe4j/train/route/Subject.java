package org.moe4j.train.route;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.moe4j.models.Decoder;
import org.moe4j.tensor.Device;
import org.moe4j.train.LanguageModel;
import org.moe4j.train.data.BpeTokenizer;
import org.moe4j.train.data.StreamingDecoder;

/** The model that is looked at: all that is asked of it and of its tokenizer. */
final class Subject implements AutoCloseable {
  private final LanguageModel language;

  Subject(LanguageModel language) {
    this.language = language;
  }

  /** Reads the model that {@code path} stands for, see {@link LanguageModel#open}. */
  static Subject open(Path path, Device device) {
    return new Subject(LanguageModel.open(path, device));
  }

  Decoder model() {
    return language.model();
  }

  /** Token ids are below it. */
  int vocab() {
    return language.model().config().vocab();
  }

  /** The token that the model expects before a text. */
  int start() {
    return language.tokenizer().endOfText();
  }

  /** The tokens of {@code text}, in which no spelling is a special token. */
  int[] encode(String text) {
    return language.tokenizer().encodeOrdinary(text);
  }

  /** The text of one token; U+FFFD for bytes that are no character by themselves. */
  String spell(int id) {
    BpeTokenizer tokenizer = language.tokenizer();
    return tokenizer.isSpecial(id) ? BpeTokenizer.END_OF_TEXT : tokenizer.decode(id);
  }

  /** What each of {@code ids} adds to their text: empty where it only begins a character. */
  List<String> pieces(int[] ids) {
    StreamingDecoder decoder = new StreamingDecoder(language.tokenizer());
    List<String> pieces = new ArrayList<>();
    for (int id : ids) {
      pieces.add(decoder.push(id));
    }
    return pieces;
  }

  @Override
  public void close() {
    language.close();
  }
}

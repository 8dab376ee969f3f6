package org.moe4j.engine.text;

import java.util.Arrays;
import java.util.Optional;
import org.moe4j.engine.gguf.Metadata;

/** The tokens of a file: how each is spelt and what kind it is. */
final class Vocabulary {
  /** What a token is for. */
  enum Kind {
    NORMAL,
    UNKNOWN,
    CONTROL,
    USER_DEFINED,
    UNUSED,
    BYTE
  }

  private static final String TOKENS = "tokenizer.ggml.tokens";
  private static final String TYPES = "tokenizer.ggml.token_type";

  private final Spellings spellings;
  private final Kind[] kinds;

  private Vocabulary(Spellings spellings, Kind[] kinds) {
    this.spellings = spellings;
    this.kinds = kinds;
  }

  static Vocabulary of(Metadata m) {
    String[] tokens = m.texts(TOKENS).orElseThrow(() -> m.missing(TOKENS)).toArray(new String[0]);
    Kind[] kinds = new Kind[tokens.length];
    Arrays.fill(kinds, Kind.NORMAL);
    Optional<long[]> types = m.wholes(TYPES);
    if (types.isPresent()) {
      long[] codes = types.get();
      if (codes.length < tokens.length) {
        throw m.failure(TYPES + " has " + codes.length + " of " + tokens.length + " tokens");
      }
      Kind[] known = Kind.values();
      for (int i = 0; i < kinds.length; i++) {
        kinds[i] =
            codes[i] >= 1 && codes[i] <= known.length ? known[(int) codes[i] - 1] : Kind.UNUSED;
      }
    }
    return new Vocabulary(new Spellings(tokens), kinds);
  }

  int size() {
    return kinds.length;
  }

  /** The token that is spelt so; -1 if there is none. */
  int id(String spelling) {
    return spellings.index(spelling);
  }

  /**
   * How a symbol is spelt: a token by its id, or a character that is no token by its complement.
   */
  String spelling(int symbol) {
    return symbol < 0 ? Character.toString(~symbol) : spellings.get(symbol);
  }

  /** The symbol that stands for a character. */
  int symbol(int character) {
    int id = id(Character.toString(character));
    return id < 0 ? ~character : id;
  }

  Kind kind(int id) {
    return kinds[id];
  }

  void reclassify(int id, Kind kind) {
    kinds[id] = kind;
  }
}

package org.moe4j.models;

import java.util.OptionalInt;

/** From text to token ids and back. Safe for use by many threads until it is closed. */
public interface Tokenizer extends AutoCloseable {
  /** The ids of {@code text}, in which the spelling of a special token is that token. */
  int[] encode(String text);

  /** The ids of a text that stands alone: with the special tokens that surround one. */
  int[] encodePrompt(String text);

  /** The text of {@code ids}, without special tokens. Bytes that are not UTF-8 become U+FFFD. */
  String decode(int... ids);

  /** How token {@code id} looks alone, special tokens too. */
  String spell(int id);

  /** The number of tokens; ids are below it. */
  int vocabSize();

  /** The id of a special token by its spelling. */
  OptionalInt id(String specialToken);

  /** Decodes a text that comes token by token. */
  Stream stream();

  /** Frees what it holds. */
  @Override
  void close();

  /** A text that comes token by token, all parts together being what {@link #decode} gives. */
  interface Stream {
    /** The text that token {@code id} completes: whole characters, possibly none. */
    String push(int id);

    /** What is left at the end: U+FFFD for a character that was never completed. */
    String finish();
  }
}

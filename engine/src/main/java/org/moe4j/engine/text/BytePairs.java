package org.moe4j.engine.text;

import java.nio.charset.StandardCharsets;
import org.moe4j.engine.gguf.Metadata;

/**
 * Byte-level byte-pair encoding: the bytes of a word are joined in the order of a list of pairs.
 */
final class BytePairs implements Encoder, Merging.Pairs {
  private static final String MERGES = "tokenizer.ggml.merges";

  private final Metadata metadata;
  private final Vocabulary vocabulary;
  private final Spellings merges;
  private final PreTokenizer words;
  private final boolean wholeWords;
  private final int unknown;
  private final int[] symbolOfByte = new int[256];

  /**
   * @param wholeWords whether a word that is a token needs no joining
   * @param unknown stands for what has no token; -1 if there is no such token
   */
  BytePairs(
      Metadata m, Vocabulary vocabulary, PreTokenizer words, boolean wholeWords, int unknown) {
    this.metadata = m;
    this.vocabulary = vocabulary;
    this.merges =
        new Spellings(m.texts(MERGES).orElseThrow(() -> m.missing(MERGES)).toArray(new String[0]));
    this.words = words;
    this.wholeWords = wholeWords;
    this.unknown = unknown;
    for (int b = 0; b < symbolOfByte.length; b++) {
      symbolOfByte[b] = vocabulary.symbol(ByteAlphabet.character(b));
    }
  }

  @Override
  public long join(int left, int right) {
    String first = vocabulary.spelling(left);
    String second = vocabulary.spelling(right);
    int rank = merges.index(first + ' ' + second);
    int id = rank < 0 ? -1 : vocabulary.id(first.concat(second));
    return id < 0 ? Merging.NONE : ((long) rank << 32) | id;
  }

  @Override
  public void encode(String text, boolean begins, Ids out) {
    Merging merging = new Merging(this);
    words.split(text, (from, to) -> word(text.substring(from, to), merging, out));
  }

  private void word(String word, Merging merging, Ids out) {
    byte[] bytes = word.getBytes(StandardCharsets.UTF_8);
    int[] symbols = new int[bytes.length];
    char[] spelt = wholeWords ? new char[bytes.length] : new char[0];
    for (int i = 0; i < bytes.length; i++) {
      symbols[i] = symbolOfByte[bytes[i] & 0xff];
      if (wholeWords) {
        spelt[i] = ByteAlphabet.character(bytes[i] & 0xff);
      }
    }
    int whole = wholeWords ? vocabulary.id(new String(spelt)) : -1;
    if (whole >= 0) {
      out.add(whole);
      return;
    }
    int count = merging.run(symbols, symbols.length);
    for (int i = 0; i < count; i++) {
      out.add(symbols[i] < 0 ? unknown(~symbols[i]) : symbols[i]);
    }
  }

  private int unknown(int character) {
    if (unknown < 0) {
      throw metadata.failure(
          String.format(
              "the vocabulary has no token for the byte 0x%02x of the text",
              ByteAlphabet.unsignedByte((char) character)));
    }
    return unknown;
  }
}

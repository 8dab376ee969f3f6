package org.moe4j.engine.text;

import java.nio.charset.StandardCharsets;
import java.util.HexFormat;
import java.util.Optional;
import org.moe4j.engine.gguf.Metadata;

/**
 * Byte-pair encoding as in SentencePiece (Kudo and Richardson, 2018): characters are joined to the
 * token of the highest score; spaces are written U+2581; a character without token becomes the
 * tokens of its bytes.
 */
final class ScoredPairs implements Encoder, Merging.Pairs {
  /** What a space is written as. */
  static final char SPACE = '\u2581';

  private static final String SCORES = "tokenizer.ggml.scores";

  private final Metadata metadata;
  private final Vocabulary vocabulary;
  private final int[] ranks;
  private final int[] tokenOfByte = new int[256];
  private final boolean spaceInFront;
  private final int unknown;

  /**
   * @param spaceInFront whether a text begins with a space that is not written
   * @param unknown stands for what has no token; -1 if there is no such token
   */
  ScoredPairs(Metadata m, Vocabulary vocabulary, boolean spaceInFront, int unknown) {
    this.metadata = m;
    this.vocabulary = vocabulary;
    this.spaceInFront = spaceInFront;
    this.unknown = unknown;
    Optional<double[]> scores = m.numbers(SCORES);
    if (scores.isPresent() && scores.get().length < vocabulary.size()) {
      throw m.failure(
          SCORES + " has " + scores.get().length + " of " + vocabulary.size() + " tokens");
    }
    this.ranks = new int[vocabulary.size()];
    scores.ifPresent(
        all -> {
          for (int i = 0; i < ranks.length; i++) {
            // Orders integers as the negated scores.
            int bits = Float.floatToIntBits(0 - (float) all[i]);
            ranks[i] = bits ^ ((bits >> 31) & Integer.MAX_VALUE);
          }
        });
    HexFormat hex = HexFormat.of().withUpperCase();
    for (int b = 0; b < tokenOfByte.length; b++) {
      tokenOfByte[b] = vocabulary.id("<0x" + hex.toHexDigits((byte) b) + ">");
    }
  }

  @Override
  public long join(int left, int right) {
    int id = vocabulary.id(vocabulary.spelling(left).concat(vocabulary.spelling(right)));
    return id < 0 ? Merging.NONE : ((long) ranks[id] << 32) | id;
  }

  @Override
  public void encode(String text, boolean begins, Ids out) {
    String spelt = (spaceInFront && begins ? " " + text : text).replace(' ', SPACE);
    int[] symbols = spelt.codePoints().map(vocabulary::symbol).toArray();
    int count = new Merging(this).run(symbols, symbols.length);
    for (int i = 0; i < count; i++) {
      if (symbols[i] >= 0) {
        out.add(symbols[i]);
      } else {
        bytes(Character.toString(~symbols[i]), out);
      }
    }
  }

  private void bytes(String character, Ids out) {
    for (byte b : character.getBytes(StandardCharsets.UTF_8)) {
      if (tokenOfByte[b & 0xff] >= 0) {
        out.add(tokenOfByte[b & 0xff]);
      } else if (unknown >= 0) {
        out.add(unknown);
        return;
      } else {
        throw metadata.failure(
            "the vocabulary has no token for the character " + character + " of the text");
      }
    }
  }
}

package org.moe4j.train.data;

import java.nio.ByteBuffer;
import java.nio.CharBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.CodingErrorAction;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;

/**
 * GPT-2's one-to-one map of bytes to printable characters, in which {@code tokenizer.json} spells
 * tokens: printable Latin-1 bytes stand for themselves, the others for U+0100 and on. A byte's rank
 * in the order of these characters is its token id in a vocabulary of ours.
 */
final class ByteAlphabet {
  private static final byte[] REPLACEMENT = {(byte) 0xEF, (byte) 0xBF, (byte) 0xBD};
  private static final char[] CHAR_OF_BYTE = new char[256];
  private static final int[] BYTE_OF_CHAR = new int[0x180];
  private static final byte[] BYTE_OF_RANK = new byte[256];
  private static final int[] RANK_OF_BYTE = new int[256];

  static {
    Arrays.fill(BYTE_OF_CHAR, -1);
    char next = 0x100;
    for (int b = 0; b < 256; b++) {
      boolean printable = (b >= '!' && b <= '~') || (b >= 0xA1 && b != 0xAD);
      CHAR_OF_BYTE[b] = printable ? (char) b : next++;
      BYTE_OF_CHAR[CHAR_OF_BYTE[b]] = b;
    }
    int rank = 0;
    for (int b : BYTE_OF_CHAR) {
      if (b >= 0) {
        RANK_OF_BYTE[b] = rank;
        BYTE_OF_RANK[rank++] = (byte) b;
      }
    }
  }

  private ByteAlphabet() {}

  static byte byteOfRank(int rank) {
    return BYTE_OF_RANK[rank];
  }

  static int rankOf(byte b) {
    return RANK_OF_BYTE[b & 0xFF];
  }

  static String spell(byte[] token) {
    StringBuilder text = new StringBuilder(token.length);
    for (byte b : token) {
      text.append(CHAR_OF_BYTE[b & 0xFF]);
    }
    return text.toString();
  }

  /** Whether every character of {@code spelled} stands for a byte. */
  static boolean isSpelling(String spelled) {
    return spelled.chars().allMatch(c -> c < BYTE_OF_CHAR.length && BYTE_OF_CHAR[c] >= 0);
  }

  /** The bytes that {@code spelled} stands for; see {@link #isSpelling}. */
  static byte[] bytes(String spelled) {
    byte[] token = new byte[spelled.length()];
    for (int i = 0; i < token.length; i++) {
      token[i] = (byte) BYTE_OF_CHAR[spelled.charAt(i)];
    }
    return token;
  }

  /**
   * The UTF-8 bytes of a piece of text. Half a surrogate pair, which UTF-8 cannot write, becomes
   * the replacement character.
   */
  static byte[] utf8(String text, int start, int end) {
    try {
      ByteBuffer bytes =
          StandardCharsets.UTF_8
              .newEncoder()
              .onMalformedInput(CodingErrorAction.REPLACE)
              .replaceWith(REPLACEMENT)
              .encode(CharBuffer.wrap(text, start, end));
      byte[] encoded = new byte[bytes.remaining()];
      bytes.get(encoded);
      return encoded;
    } catch (CharacterCodingException e) {
      throw new AssertionError("malformed input is replaced", e);
    }
  }
}

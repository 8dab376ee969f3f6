package org.moe4j.engine.text;

/**
 * The characters that stand for bytes in the vocabularies of byte-level tokenizers (Radford et al.,
 * 2019): printable characters of Latin-1 for themselves, the other 68 bytes from U+0100 on.
 */
final class ByteAlphabet {
  private static final int OTHERS = 0x100;
  private static final char[] CHARACTERS = new char[256];
  private static final short[] BYTES = new short[OTHERS + 68];

  static {
    java.util.Arrays.fill(BYTES, (short) -1);
    char next = OTHERS;
    for (int b = 0; b < 256; b++) {
      boolean printable = (b >= '!' && b <= '~') || (b >= 0xa1 && b <= 0xac) || b >= 0xae;
      char c = printable ? (char) b : next++;
      CHARACTERS[b] = c;
      BYTES[c] = (short) b;
    }
  }

  private ByteAlphabet() {}

  static char character(int unsignedByte) {
    return CHARACTERS[unsignedByte];
  }

  /** The byte that a character stands for; -1 if it stands for none. */
  static int unsignedByte(char c) {
    return c < BYTES.length ? BYTES[c] : -1;
  }
}

package org.moe4j.train.data;

/**
 * Cuts text into the pieces that BPE never merges across. The cuts are those of GPT-2's regular
 * expression
 *
 * <pre>'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+</pre>
 *
 * with {@code \s} as Unicode's White_Space, in one pass and without backtracking. The pieces cover
 * the text.
 */
final class PreTokenizer {
  /** Receives the piece [start, end) of the text. */
  interface Sink {
    void piece(int start, int end);
  }

  private static final byte LETTER = 0;
  private static final byte NUMBER = 1;
  private static final byte SPACE = 2;
  private static final byte OTHER = 3;

  /** The kinds of the basic plane; the rest is looked up as it comes. */
  private static final byte[] BASIC = new byte[1 << 16];

  static {
    for (int codePoint = 0; codePoint < BASIC.length; codePoint++) {
      BASIC[codePoint] = classify(codePoint);
    }
  }

  private PreTokenizer() {}

  /** Hands the pieces of {@code text} between {@code start} and {@code end} to {@code sink}. */
  static void split(String text, int start, int end, Sink sink) {
    int at = start;
    while (at < end) {
      int next = pieceEnd(text, at, end);
      sink.piece(at, next);
      at = next;
    }
  }

  private static int pieceEnd(String text, int at, int end) {
    char first = text.charAt(at);
    if (first == '\'') {
      int contraction = contraction(text, at, end);
      if (contraction > 0) {
        return at + contraction;
      }
    }
    byte kind = kind(text, at, end);
    if (kind != SPACE) {
      return runEnd(text, at, end, kind);
    }
    // One plain space belongs to the word behind it.
    if (first == ' ' && at + 1 < end) {
      byte next = kind(text, at + 1, end);
      if (next != SPACE) {
        return runEnd(text, at + 1, end, next);
      }
    }
    int runEnd = runEnd(text, at, end, SPACE);
    // A run before a word leaves its last character (white space is never a surrogate pair).
    return runEnd < end && runEnd - at > 1 ? runEnd - 1 : runEnd;
  }

  private static int runEnd(String text, int start, int end, byte kind) {
    int at = start;
    while (at < end && kind(text, at, end) == kind) {
      at += Character.isHighSurrogate(text.charAt(at)) && isPair(text, at, end) ? 2 : 1;
    }
    return at;
  }

  /** The length of 's 't 're 've 'm 'll 'd at {@code at}, or 0. */
  private static int contraction(String text, int at, int end) {
    char second = at + 1 < end ? text.charAt(at + 1) : 0;
    char third = at + 2 < end ? text.charAt(at + 2) : 0;
    return switch (second) {
      case 's', 't', 'm', 'd' -> 2;
      case 'r', 'v' -> third == 'e' ? 3 : 0;
      case 'l' -> third == 'l' ? 3 : 0;
      default -> 0;
    };
  }

  private static byte kind(String text, int at, int end) {
    char c = text.charAt(at);
    return Character.isHighSurrogate(c) && isPair(text, at, end)
        ? classify(Character.toCodePoint(c, text.charAt(at + 1)))
        : BASIC[c];
  }

  private static boolean isPair(String text, int at, int end) {
    return at + 1 < end && Character.isLowSurrogate(text.charAt(at + 1));
  }

  private static byte classify(int codePoint) {
    return switch (Character.getType(codePoint)) {
      case Character.UPPERCASE_LETTER,
          Character.LOWERCASE_LETTER,
          Character.TITLECASE_LETTER,
          Character.MODIFIER_LETTER,
          Character.OTHER_LETTER ->
          LETTER;
      case Character.DECIMAL_DIGIT_NUMBER, Character.LETTER_NUMBER, Character.OTHER_NUMBER ->
          NUMBER;
      case Character.SPACE_SEPARATOR, Character.LINE_SEPARATOR, Character.PARAGRAPH_SEPARATOR ->
          SPACE;
      default -> (codePoint >= '\t' && codePoint <= '\r') || codePoint == 0x85 ? SPACE : OTHER;
    };
  }
}

package org.moe4j.train.data;

import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.CharBuffer;
import java.nio.charset.CharsetDecoder;
import java.nio.charset.CoderResult;
import java.nio.charset.CodingErrorAction;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.OptionalLong;
import org.moe4j.tensor.MoeException;

/** UTF-8: strict, where a wrong byte is an error with its place, and lossy, for token bytes. */
final class Utf8 {
  private static final char BYTE_ORDER_MARK = '\uFEFF';
  private static final char REPLACEMENT = '\uFFFD';

  private Utf8() {}

  /** The text of {@code bytes}, which stand at {@code offset} of {@code file}. */
  static String decode(byte[] bytes, Path file, long offset) {
    CharBuffer chars = CharBuffer.allocate(bytes.length);
    ByteBuffer in = ByteBuffer.wrap(bytes);
    CharsetDecoder decoder = strictDecoder();
    if (decoder.decode(in, chars, true).isError()) {
      throw invalid(file, offset + in.position());
    }
    chars.flip();
    boolean marked = offset == 0 && !chars.isEmpty() && chars.get(0) == BYTE_ORDER_MARK;
    return (marked ? chars.position(1) : chars).toString();
  }

  static MoeException invalid(Path file, long offset) {
    return new MoeException(
        file + ": byte " + offset + " is not UTF-8; convert the file to UTF-8 (iconv -t UTF-8)");
  }

  /** The offset of the first byte of {@code in} that is not UTF-8. */
  static OptionalLong firstInvalid(InputStream in) throws IOException {
    CharsetDecoder decoder = strictDecoder();
    CharBuffer chars = CharBuffer.allocate(1 << 16);
    ByteBuffer bytes = ByteBuffer.allocate(1 << 16);
    long consumed = 0;
    while (true) {
      int read = in.read(bytes.array(), bytes.position(), bytes.remaining());
      bytes.limit(bytes.position() + Math.max(read, 0)).position(0);
      CoderResult result = decoder.decode(bytes, chars, read < 0);
      consumed += bytes.position();
      if (result.isError()) {
        return OptionalLong.of(consumed);
      }
      if (read < 0) {
        return OptionalLong.empty();
      }
      bytes.compact();
      chars.clear();
    }
  }

  /**
   * The text of {@code bytes} up to {@code end}; each longest beginning of a character that breaks
   * off becomes one U+FFFD (Unicode 16, section 3.9.6), where Java's own decoder writes fewer.
   */
  static String lossy(byte[] bytes, int end) {
    String text = new String(bytes, 0, end, StandardCharsets.UTF_8);
    if (text.indexOf(REPLACEMENT) < 0) {
      return text;
    }
    StringBuilder out = new StringBuilder(text.length());
    int at = 0;
    while (at < end) {
      int length = character(bytes, at, end);
      if (length > 0) {
        out.append(new String(bytes, at, length, StandardCharsets.UTF_8));
        at += length;
      } else {
        out.append(REPLACEMENT);
        at = length == 0 ? end : at - length;
      }
    }
    return out.toString();
  }

  /** How many bytes at the end are the beginning of a character whose rest may still come. */
  static int incompleteTail(byte[] bytes) {
    for (int at = Math.max(0, bytes.length - 3); at < bytes.length; at++) {
      if (character(bytes, at, bytes.length) == 0) {
        return bytes.length - at;
      }
    }
    return 0;
  }

  /**
   * The length of the character at {@code at}; 0 if it is right as far as it goes but goes beyond
   * {@code end}; -n if it breaks off after n bytes. Ranges: Unicode 16, table 3-7.
   */
  private static int character(byte[] bytes, int at, int end) {
    int lead = bytes[at] & 0xFF;
    if (lead < 0x80) {
      return 1;
    }
    if (lead < 0xC2 || lead > 0xF4) {
      return -1;
    }
    int length = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
    int least = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
    int most = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
    for (int i = 1; i < length; i++) {
      if (at + i == end) {
        return 0;
      }
      int next = bytes[at + i] & 0xFF;
      if (next < least || next > most) {
        return -i;
      }
      least = 0x80;
      most = 0xBF;
    }
    return length;
  }

  private static CharsetDecoder strictDecoder() {
    return StandardCharsets.UTF_8
        .newDecoder()
        .onMalformedInput(CodingErrorAction.REPORT)
        .onUnmappableCharacter(CodingErrorAction.REPORT);
  }
}

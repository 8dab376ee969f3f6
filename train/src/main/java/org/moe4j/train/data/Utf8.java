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

/** UTF-8, where a wrong byte is an error with its place. */
final class Utf8 {
  private static final char BYTE_ORDER_MARK = '\uFEFF';

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

  private static CharsetDecoder strictDecoder() {
    return StandardCharsets.UTF_8
        .newDecoder()
        .onMalformedInput(CodingErrorAction.REPORT)
        .onUnmappableCharacter(CodingErrorAction.REPORT);
  }
}

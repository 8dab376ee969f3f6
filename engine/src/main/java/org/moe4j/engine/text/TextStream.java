package org.moe4j.engine.text;

import java.nio.ByteBuffer;
import java.nio.CharBuffer;
import java.nio.charset.CharsetDecoder;
import java.nio.charset.CodingErrorAction;
import java.nio.charset.StandardCharsets;

/**
 * The text of tokens that come one by one. It tells whole characters only: the first bytes of one
 * wait for its others. Bytes that are no UTF-8 become U+FFFD. Made by {@link Tokenizer#stream}.
 */
public final class TextStream {
  private final Tokenizer tokenizer;
  private final CharsetDecoder decoder =
      StandardCharsets.UTF_8
          .newDecoder()
          .onMalformedInput(CodingErrorAction.REPLACE)
          .onUnmappableCharacter(CodingErrorAction.REPLACE);
  private ByteBuffer begun = ByteBuffer.allocate(0);

  TextStream(Tokenizer tokenizer) {
    this.tokenizer = tokenizer;
  }

  /** The text that {@code token} completes; nothing for a control token. */
  public String push(int token) {
    byte[] bytes = tokenizer.shows(token) ? tokenizer.bytes(token) : new byte[0];
    return decode(bytes, false);
  }

  /** What is left at the end: U+FFFD for a character that was never completed. */
  public String finish() {
    String rest = decode(new byte[0], true);
    decoder.reset();
    return rest;
  }

  private String decode(byte[] more, boolean end) {
    ByteBuffer in =
        ByteBuffer.allocate(begun.remaining() + more.length).put(begun).put(more).flip();
    CharBuffer out = CharBuffer.allocate(in.remaining() + 1);
    decoder.decode(in, out, end);
    if (end) {
      decoder.flush(out);
    }
    begun = in;
    return out.flip().toString();
  }
}

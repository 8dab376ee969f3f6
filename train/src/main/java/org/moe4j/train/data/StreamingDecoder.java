package org.moe4j.train.data;

import java.util.Arrays;
import org.moe4j.models.Tokenizer;

/**
 * Decodes token by token. A character whose bytes are spread over several tokens is held back until
 * it is complete; all parts together are what {@link BpeTokenizer#decode} gives.
 */
public final class StreamingDecoder implements Tokenizer.Stream {
  private final BpeTokenizer tokenizer;
  private byte[] pending = new byte[0];

  /** A decoder at the start of a text. */
  public StreamingDecoder(BpeTokenizer tokenizer) {
    this.tokenizer = tokenizer;
  }

  /** The text that token {@code id} completes; empty while a character is incomplete. */
  @Override
  public String push(int id) {
    byte[] token = tokenizer.textBytes(id);
    byte[] bytes = Arrays.copyOf(pending, pending.length + token.length);
    System.arraycopy(token, 0, bytes, pending.length, token.length);
    int complete = bytes.length - Utf8.incompleteTail(bytes);
    pending = Arrays.copyOfRange(bytes, complete, bytes.length);
    return Utf8.lossy(bytes, complete);
  }

  /** What is left at the end: U+FFFD for a character that was never completed. */
  @Override
  public String finish() {
    String rest = Utf8.lossy(pending, pending.length);
    pending = new byte[0];
    return rest;
  }
}

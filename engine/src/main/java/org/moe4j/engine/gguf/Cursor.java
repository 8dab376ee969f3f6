package org.moe4j.engine.gguf;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.charset.StandardCharsets;
import org.moe4j.engine.EngineException;

/**
 * Reads a mapped file front to back; whatever would run past its end is refused first. It reads
 * through a window on the heap: a start has hundreds of thousands of short texts to read, and until
 * the JVM has compiled its way around it, access to mapped memory takes many times as long.
 */
final class Cursor {
  private static final int WINDOW = 1 << 16;

  private final String file;
  private final MemorySegment bytes;
  private final byte[] window = new byte[WINDOW];
  private long windowFrom;
  private long windowTo;
  private long position;

  Cursor(String file, MemorySegment bytes) {
    this.file = file;
    this.bytes = bytes;
  }

  long position() {
    return position;
  }

  long remaining() {
    return bytes.byteSize() - position;
  }

  EngineException failure(String what) {
    return new EngineException(file + ": " + what);
  }

  /** Moves over {@code size} bytes, at most a window; their place in the window. */
  private int advance(int size, String what) {
    if (size > remaining()) {
      throw cutOff(what);
    }
    if (position + size > windowTo) {
      windowFrom = position;
      windowTo = Math.min(bytes.byteSize(), position + WINDOW);
      int length = (int) (windowTo - windowFrom);
      MemorySegment.copy(bytes, ValueLayout.JAVA_BYTE, windowFrom, window, 0, length);
    }
    int at = (int) (position - windowFrom);
    position += size;
    return at;
  }

  private EngineException cutOff(String what) {
    return failure(
        "ends inside " + what + " at byte " + position + "; the file is cut off or damaged");
  }

  byte int8(String what) {
    return window[advance(1, what)];
  }

  short int16(String what) {
    int at = advance(2, what);
    return (short) ((window[at] & 0xff) | (window[at + 1] << 8));
  }

  int int32(String what) {
    return int32At(advance(4, what));
  }

  long int64(String what) {
    int at = advance(8, what);
    return (int32At(at) & 0xffffffffL) | ((long) int32At(at + 4) << 32);
  }

  private int int32At(int at) {
    return (window[at] & 0xff)
        | (window[at + 1] & 0xff) << 8
        | (window[at + 2] & 0xff) << 16
        | window[at + 3] << 24;
  }

  /**
   * A number of things of at least {@code least} bytes each, refused if the file cannot hold them.
   */
  int count(long stated, long least, String what) {
    if (stated < 0 || stated > remaining() / least || stated > Integer.MAX_VALUE - 8) {
      throw failure(
          "states "
              + Long.toUnsignedString(stated)
              + " "
              + what
              + ", more than its "
              + remaining()
              + " remaining bytes can hold; the file is damaged");
    }
    return (int) stated;
  }

  /** A text with its length in front; what is not UTF-8 becomes replacement characters. */
  String text(String what) {
    long stated = int64(what);
    if (stated >= 0 && stated <= WINDOW && stated <= remaining()) {
      int length = (int) stated;
      return new String(window, advance(length, what), length, StandardCharsets.UTF_8);
    }
    int length = count(stated, 1, "bytes of " + what);
    byte[] text = new byte[length];
    MemorySegment.copy(bytes, ValueLayout.JAVA_BYTE, position, text, 0, length);
    position += length;
    return new String(text, StandardCharsets.UTF_8);
  }
}

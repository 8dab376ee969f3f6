package org.moe4j.engine.gguf;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import org.moe4j.engine.EngineException;

/** Reads a mapped file front to back; whatever would run past its end is refused first. */
final class Cursor {
  private static final ValueLayout.OfShort SHORT =
      ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  private static final ValueLayout.OfInt INT =
      ValueLayout.JAVA_INT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  private static final ValueLayout.OfLong LONG =
      ValueLayout.JAVA_LONG_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  private final String file;
  private final MemorySegment bytes;
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

  /** Moves over {@code size} bytes; their place. */
  private long advance(long size, String what) {
    if (size < 0 || size > remaining()) {
      throw failure(
          "ends inside " + what + " at byte " + position + "; the file is cut off or damaged");
    }
    long at = position;
    position += size;
    return at;
  }

  byte int8(String what) {
    return bytes.get(ValueLayout.JAVA_BYTE, advance(1, what));
  }

  short int16(String what) {
    return bytes.get(SHORT, advance(2, what));
  }

  int int32(String what) {
    return bytes.get(INT, advance(4, what));
  }

  long int64(String what) {
    return bytes.get(LONG, advance(8, what));
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
    int length = count(stated, 1, "bytes of " + what);
    byte[] text = new byte[length];
    MemorySegment.copy(bytes, ValueLayout.JAVA_BYTE, advance(length, what), text, 0, length);
    return new String(text, StandardCharsets.UTF_8);
  }
}

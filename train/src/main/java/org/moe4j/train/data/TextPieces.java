package org.moe4j.train.data;

import java.io.BufferedInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.function.Consumer;
import org.moe4j.tensor.MoeException;

/** A text file of any size as consecutive pieces, and what fields a table has. */
public final class TextPieces {
  private static final int PIECE = 1 << 18;

  private TextPieces() {}

  /**
   * Hands the text of a UTF-8 file to {@code sink} in pieces of at most 256 KiB, which end with a
   * line where they can. Together they are the text.
   *
   * @throws MoeException when the file cannot be read or is not UTF-8
   */
  public static void read(Path file, Consumer<String> sink) {
    try (InputStream in = new BufferedInputStream(Files.newInputStream(file))) {
      byte[] buffer = new byte[PIECE];
      int held = 0;
      long offset = 0;
      while (true) {
        held += in.readNBytes(buffer, held, PIECE - held);
        if (held == 0) {
          return;
        }
        int end = held < PIECE ? held : cut(buffer);
        byte[] piece = new byte[end];
        System.arraycopy(buffer, 0, piece, 0, end);
        sink.accept(Utf8.decode(piece, file, offset));
        System.arraycopy(buffer, end, buffer, 0, held - end);
        held -= end;
        offset += end;
      }
    } catch (IOException e) {
      throw new MoeException(file + ": cannot be read: " + e.getMessage(), e);
    }
  }

  /** Behind the last line's end, or else behind the last whole character. */
  private static int cut(byte[] buffer) {
    for (int i = buffer.length; i > buffer.length / 2; i--) {
      if (buffer[i - 1] == '\n') {
        return i;
      }
    }
    int last = buffer.length - 1;
    while (last > buffer.length - 4 && (buffer[last] & 0xC0) == 0x80) {
      last--;
    }
    return last;
  }

  /** Whether {@code file} is a table by its name: JSON lines, CSV, Parquet and the like. */
  public static boolean isTable(Path file) {
    return TableFormat.of(file).isPresent();
  }

  /**
   * The fields of a table; none of another file.
   *
   * @throws MoeException when it cannot be read
   */
  public static List<String> fields(Path file) {
    return TableFormat.of(file)
        .map(
            format -> {
              try (DuckDbReader reader = new DuckDbReader()) {
                return reader.fields(file, format);
              }
            })
        .orElse(List.of());
  }
}

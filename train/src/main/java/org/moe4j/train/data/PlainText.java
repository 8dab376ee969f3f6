package org.moe4j.train.data;

import java.io.BufferedInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.function.Consumer;
import org.moe4j.tensor.MoeException;

/** Reads a UTF-8 file as one text, or as the texts between its blank lines. */
final class PlainText {
  private static final int LARGEST = 1 << 30;

  private PlainText() {}

  static void read(Path file, boolean byParagraph, Consumer<String> sink) {
    try (InputStream in = new BufferedInputStream(Files.newInputStream(file), 1 << 16)) {
      if (byParagraph) {
        readParagraphs(file, in, sink);
      } else if (Files.size(file) > LARGEST) {
        throw new MoeException(
            file + ": larger than 1 GiB as one document; split it by blank lines");
      } else {
        sink.accept(Utf8.decode(in.readAllBytes(), file, 0));
      }
    } catch (IOException e) {
      throw new MoeException(file + ": cannot be read: " + e.getMessage(), e);
    }
  }

  private static void readParagraphs(Path file, InputStream in, Consumer<String> sink)
      throws IOException {
    ByteArrayOutputStream paragraph = new ByteArrayOutputStream();
    long offset = 0;
    long start = 0;
    boolean blankLine = true;
    for (int b = in.read(); b >= 0; b = in.read()) {
      offset++;
      paragraph.write(b);
      if (b == '\n' && blankLine) {
        emit(paragraph, file, start, sink);
        start = offset;
      } else {
        blankLine = b == '\n' || (blankLine && (b == ' ' || b == '\t' || b == '\r'));
      }
      if (paragraph.size() > LARGEST) {
        throw new MoeException(
            file + ": more than 1 GiB without a blank line from byte " + start + " on; split it");
      }
    }
    emit(paragraph, file, start, sink);
  }

  private static void emit(
      ByteArrayOutputStream paragraph, Path file, long start, Consumer<String> sink) {
    String text = Utf8.decode(paragraph.toByteArray(), file, start).strip();
    paragraph.reset();
    if (!text.isEmpty()) {
      sink.accept(text);
    }
  }
}

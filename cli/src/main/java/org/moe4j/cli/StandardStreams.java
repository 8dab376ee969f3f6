package org.moe4j.cli;

import java.io.BufferedOutputStream;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.FilterOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.io.OutputStreamWriter;
import java.io.PrintWriter;
import java.io.Serial;
import java.nio.charset.StandardCharsets;

/** The process's output streams: UTF-8 under every locale, and a vanished reader is noticed. */
final class StandardStreams {
  private StandardStreams() {}

  /** Standard output; a write that fails throws {@link OutputLost}. */
  static PrintWriter out() {
    return writer(new FileOutputStream(FileDescriptor.out));
  }

  /** Standard error. */
  static PrintWriter err() {
    return utf8(new FileOutputStream(FileDescriptor.err));
  }

  static PrintWriter writer(OutputStream target) {
    return utf8(new Watched(target));
  }

  private static PrintWriter utf8(OutputStream target) {
    return new PrintWriter(
        new OutputStreamWriter(new BufferedOutputStream(target), StandardCharsets.UTF_8), true);
  }

  /**
   * Standard output cannot be written. An error, so that it passes every handler of exceptions on
   * its way out of the command.
   */
  static final class OutputLost extends Error {
    @Serial private static final long serialVersionUID = 1L;

    private final boolean readerGone;

    OutputLost(IOException cause) {
      super(cause);
      String message = String.valueOf(cause.getMessage());
      readerGone = message.contains("Broken pipe") || message.contains("pipe is being closed");
    }

    /** Whether the reader has closed the pipe, having seen enough: not a failure. */
    boolean readerGone() {
      return readerGone;
    }
  }

  /** PrintWriter swallows an IOException; this ends the command instead. */
  private static final class Watched extends FilterOutputStream {
    Watched(OutputStream target) {
      super(target);
    }

    @Override
    public void write(byte[] bytes, int offset, int length) {
      try {
        out.write(bytes, offset, length);
      } catch (IOException e) {
        throw new OutputLost(e);
      }
    }
  }
}

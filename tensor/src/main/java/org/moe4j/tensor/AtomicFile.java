package org.moe4j.tensor;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.Locale;

/**
 * Replaces a file as a whole: the new content goes to a temporary file in the same folder, is
 * forced to the disk and takes the name in one step. Whatever goes wrong, the old file is intact.
 */
public final class AtomicFile {
  private AtomicFile() {}

  /** Writes the content of a file. */
  @FunctionalInterface
  public interface Body {
    /** Writes everything to {@code out}, which starts empty. */
    void write(FileChannel out) throws IOException;
  }

  /**
   * Writes {@code file}, creating its folder if necessary.
   *
   * @throws MoeException if that fails, for instance for lack of space; the temporary file is gone
   */
  public static void write(Path file, Body body) {
    Path temporary = temporary(file);
    try {
      stage(temporary, body);
      commit(temporary, file);
    } catch (IOException e) {
      throw failure(file, e);
    } finally {
      discard(temporary);
    }
  }

  /** Writes {@code content} as the whole of {@code file}. */
  public static void write(Path file, byte[] content) {
    write(file, out -> writeAll(out, ByteBuffer.wrap(content)));
  }

  /** A name beside {@code file} that nothing else uses. */
  static Path temporary(Path file) {
    String unique = ProcessHandle.current().pid() + "-" + System.nanoTime();
    return file.resolveSibling("." + file.getFileName() + "." + unique + ".tmp");
  }

  /** Writes and forces a temporary file. */
  static void stage(Path temporary, Body body) throws IOException {
    Path folder = temporary.toAbsolutePath().getParent();
    if (folder != null) {
      Files.createDirectories(folder);
    }
    try (FileChannel out =
        FileChannel.open(temporary, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE)) {
      body.write(out);
      out.force(true);
    }
  }

  /** Gives a staged file its name. */
  static void commit(Path temporary, Path file) throws IOException {
    Files.move(
        temporary, file, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
    forceFolder(file);
  }

  /** Deletes a staged file that was not committed. */
  static void discard(Path temporary) {
    try {
      Files.deleteIfExists(temporary);
    } catch (IOException e) {
      // It costs space and nothing else; the first failure is the one to report.
      return;
    }
  }

  static void writeAll(FileChannel out, ByteBuffer bytes) throws IOException {
    while (bytes.hasRemaining()) {
      out.write(bytes);
    }
  }

  private static void forceFolder(Path file) {
    Path folder = file.toAbsolutePath().getParent();
    if (folder == null) {
      return;
    }
    try (FileChannel channel = FileChannel.open(folder, StandardOpenOption.READ)) {
      channel.force(true);
    } catch (IOException e) {
      // Some systems do not open folders; there the move is as durable as the system makes it.
      return;
    }
  }

  static MoeException failure(Path file, IOException e) {
    String why = e.getMessage() == null ? e.toString() : e.getMessage();
    if (e instanceof FileSystemException f) {
      why = f.getReason() == null ? e.getClass().getSimpleName() : f.getReason();
    }
    String hint =
        why.toLowerCase(Locale.ROOT).contains("no space")
            ? "free some space or choose another folder"
            : "check the folder and its permissions";
    return new MoeException("cannot write " + file + ": " + why + "; " + hint, e);
  }
}

package org.moe4j.cli;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.moe4j.tensor.MoeException;

/** Looks whether a result can be written, before the work that it is the result of. */
final class Writable {
  private Writable() {}

  /** Refuses a place where no file can be written. */
  static void checkFile(Path file) {
    if (Files.isDirectory(file)) {
      throw new MoeException(file + ": a folder; name the file to write");
    }
    checkNearest(file, file.toAbsolutePath().normalize().getParent());
  }

  /** Refuses a place where no folder of files can be. */
  static void checkFolder(Path folder) {
    checkNearest(folder, folder.toAbsolutePath().normalize());
  }

  /** What is missing of the path will be made in its nearest folder that is there. */
  private static void checkNearest(Path wanted, Path folder) {
    Path nearest = folder;
    while (nearest.getParent() != null && !Files.exists(nearest)) {
      nearest = nearest.getParent();
    }
    if (!Files.isDirectory(nearest)) {
      throw new MoeException(
          "cannot write " + wanted + ": " + nearest + " is a file; name another folder");
    }
    // Permissions alone do not tell: a file system may be read-only or not one of files.
    try {
      Files.delete(Files.createTempFile(nearest, ".moe", ".tmp"));
    } catch (IOException e) {
      throw new MoeException(
          "cannot write " + wanted + ": no permission to write in " + nearest + "; name another",
          e);
    }
  }
}

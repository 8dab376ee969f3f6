package org.moe4j.engine.gguf;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.BasicFileAttributes;
import java.nio.file.attribute.FileTime;
import java.util.Optional;
import org.moe4j.engine.EngineException;

/**
 * What tells whether a file was written to since.
 *
 * @param key of the file itself, whatever its name, where the system has one
 */
record Stamp(Path path, Optional<Object> key, long bytes, FileTime modified) {
  static Stamp of(Path path) {
    if (!Files.isRegularFile(path)) {
      throw new EngineException(
          path + (Files.isDirectory(path) ? ": is a folder, not a file" : ": no such file"));
    }
    try {
      return of(path, Files.readAttributes(path, BasicFileAttributes.class));
    } catch (IOException e) {
      throw new EngineException(path + ": cannot be read: " + e.getMessage(), e);
    }
  }

  private static Stamp of(Path path, BasicFileAttributes a) {
    return new Stamp(path, Optional.ofNullable(a.fileKey()), a.size(), a.lastModifiedTime());
  }

  void check() {
    Stamp now;
    try {
      now = of(path, Files.readAttributes(path, BasicFileAttributes.class));
    } catch (IOException e) {
      return; // a file without a name stays what it is
    }
    if (now.key.equals(key) && !now.equals(this)) {
      throw new EngineException(path + ": was written to while it was open; open it anew");
    }
  }
}

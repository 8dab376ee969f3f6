package org.moe4j.engine.offload;

import java.io.IOException;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;
import org.moe4j.engine.EngineException;

/** The files of a model, each opened once. */
final class Sources implements AutoCloseable {
  private final Disk disk;
  private final Map<Path, Disk.Source> open = new HashMap<>();

  Sources(Disk disk) {
    this.disk = disk;
  }

  Disk.Source open(Path file) {
    return open.computeIfAbsent(
        file,
        f -> {
          try {
            return disk.open(f);
          } catch (IOException e) {
            throw new EngineException(f + ": cannot be read: " + e.getMessage(), e);
          }
        });
  }

  /** The largest alignment that a read needs. */
  int alignment() {
    return open.values().stream().mapToInt(Disk.Source::alignment).max().orElse(1);
  }

  @Override
  public void close() {
    for (Disk.Source source : open.values()) {
      source.close();
    }
  }
}

package org.moe4j.train;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.function.Consumer;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.moe4j.tensor.AtomicFile;

/**
 * The checkpoints of a run, {@code step-000100} and so on. Each is written under a hidden name,
 * forced to the disk and renamed, so one with its own name is complete whatever happened. The file
 * {@code latest} names the newest.
 *
 * @param folder of the checkpoints
 * @param kept how many are kept; older ones are removed when a new one is complete
 */
record Checkpoints(Path folder, int kept) {
  private static final Pattern NAME = Pattern.compile("step-(\\d{6,18})");
  private static final String TEMPORARY = ".writing-";
  private static final String REMOVED = ".removing-";
  private static final String LATEST = "latest";

  /** The complete checkpoints, oldest first. */
  List<Path> all() {
    return Folders.list(folder).stream()
        .filter(path -> step(path) >= 0 && Files.isDirectory(path))
        .sorted(Comparator.comparingLong(Checkpoints::step))
        .toList();
  }

  /** The newest complete checkpoint. */
  Optional<Path> newest() {
    List<Path> all = all();
    return all.isEmpty() ? Optional.empty() : Optional.of(all.getLast());
  }

  private static long step(Path checkpoint) {
    Matcher name = NAME.matcher(checkpoint.getFileName().toString());
    return name.matches() ? Long.parseLong(name.group(1)) : -1;
  }

  /**
   * Writes the checkpoint of {@code step}; if that fails, the others are as before. One of this
   * step that exists already is the same and stays.
   *
   * @param content fills the folder that it is given
   */
  Path write(long step, Consumer<Path> content) {
    String name = "step-%06d".formatted(step);
    Path complete = folder.resolve(name);
    if (!Files.exists(complete)) {
      Path temporary = folder.resolve(TEMPORARY + name);
      try {
        Folders.delete(temporary);
        Files.createDirectories(temporary);
        content.accept(temporary);
        Folders.rename(temporary, complete);
      } catch (IOException e) {
        Folders.delete(temporary);
        throw new UncheckedIOException(e);
      } catch (RuntimeException e) {
        Folders.delete(temporary);
        throw e;
      }
    }
    AtomicFile.write(folder.resolve(LATEST), (name + "\n").getBytes(StandardCharsets.UTF_8));
    removeOld();
    return complete;
  }

  /** A checkpoint loses its name before its files, so that a kill leaves no incomplete one. */
  private void removeOld() {
    List<Path> all = all();
    for (Path old : all.subList(0, Math.max(0, all.size() - kept))) {
      Path removed = folder.resolve(REMOVED + old.getFileName());
      try {
        Folders.delete(removed);
        Folders.rename(old, removed);
      } catch (IOException e) {
        throw new UncheckedIOException(e);
      }
      Folders.delete(removed);
    }
  }

  /** Deletes what a killed process left half-written or half-removed. */
  void clean() {
    for (Path path : Folders.list(folder)) {
      String name = path.getFileName().toString();
      boolean file = name.startsWith(".") && name.endsWith(".tmp");
      if (name.startsWith(TEMPORARY) || name.startsWith(REMOVED) || file) {
        Folders.delete(path);
      }
    }
  }
}

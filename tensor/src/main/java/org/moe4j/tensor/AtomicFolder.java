package org.moe4j.tensor;

import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.Comparator;
import java.util.function.Consumer;
import java.util.stream.Stream;

/**
 * Makes a folder that appears as a whole: everything is written into a temporary folder beside it,
 * which takes the name in one step. If the process is killed before, the temporary folder stays
 * ({@code .NAME.PID.tmp}) and nothing else.
 */
public final class AtomicFolder {
  private AtomicFolder() {}

  /**
   * Checks that a folder can be made: it does not exist or is empty.
   *
   * @throws MoeException if there is something
   */
  public static void requireAbsent(Path folder) {
    if (!Files.exists(folder)) {
      return;
    }
    if (!Files.isDirectory(folder)) {
      throw new MoeException(folder + " exists and is no folder; choose another name");
    }
    try (Stream<Path> entries = Files.list(folder)) {
      if (entries.findAny().isPresent()) {
        throw new MoeException(folder + " is not empty; choose another folder or delete it");
      }
    } catch (IOException e) {
      throw AtomicFile.failure(folder, e);
    }
  }

  /**
   * Makes {@code folder}.
   *
   * @param body writes all files into the folder that it is given, and forces them to the disk
   * @throws MoeException if there is such a folder with something in it, or it cannot be written;
   *     nothing is left then
   */
  public static void write(Path folder, Consumer<Path> body) {
    requireAbsent(folder);
    Path whole = folder.toAbsolutePath().normalize();
    Path temporary =
        whole.resolveSibling(
            "." + whole.getFileName() + "." + ProcessHandle.current().pid() + ".tmp");
    try {
      Files.createDirectories(temporary);
      body.accept(temporary);
      force(temporary);
      Files.move(temporary, whole, StandardCopyOption.ATOMIC_MOVE);
      Path parent = whole.getParent();
      if (parent != null) {
        force(parent);
      }
    } catch (IOException e) {
      throw AtomicFile.failure(folder, e);
    } finally {
      delete(temporary);
    }
  }

  private static void force(Path folder) {
    try (FileChannel channel = FileChannel.open(folder, StandardOpenOption.READ)) {
      channel.force(true);
    } catch (IOException e) {
      // Some systems do not open folders; there the move is as durable as the system makes it.
      return;
    }
  }

  private static void delete(Path folder) {
    if (!Files.exists(folder)) {
      return;
    }
    try (Stream<Path> all = Files.walk(folder)) {
      all.sorted(Comparator.reverseOrder()).forEach(AtomicFile::discard);
    } catch (IOException e) {
      // It costs space and nothing else; the first failure is the one to report.
      return;
    }
  }
}

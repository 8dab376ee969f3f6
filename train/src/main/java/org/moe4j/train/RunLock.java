package org.moe4j.train;

import java.io.Closeable;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.channels.OverlappingFileLockException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Optional;
import org.jspecify.annotations.Nullable;
import org.moe4j.tensor.MoeException;

/**
 * The right to write into a run's folder, held by one process at a time. The operating system takes
 * it back when the process ends, however it ends.
 */
public final class RunLock implements Closeable {
  private static final String NAME = ".lock";

  /**
   * The locked byte lies behind the process id, which must stay readable where locks forbid
   * reading.
   */
  private static final long LOCKED_BYTE = 1 << 10;

  private final FileChannel channel;

  private RunLock(FileChannel channel) {
    this.channel = channel;
  }

  /**
   * Takes the lock of {@code folder}, which is made where it is missing.
   *
   * @throws MoeException when another process, or another run of this one, holds it
   */
  public static RunLock acquire(Path folder) {
    Path file = folder.resolve(NAME);
    try {
      Files.createDirectories(folder);
      FileChannel channel =
          FileChannel.open(
              file, StandardOpenOption.CREATE, StandardOpenOption.READ, StandardOpenOption.WRITE);
      try {
        if (tryLock(channel) == null) {
          throw new MoeException(
              folder
                  + ": in use by another run"
                  + holder(channel).map(pid -> " (process " + pid + ")").orElse("")
                  + "; wait for it to end, or choose another run.name");
        }
        channel.truncate(0);
        String pid = Long.toString(ProcessHandle.current().pid());
        channel.write(ByteBuffer.wrap(pid.getBytes(StandardCharsets.US_ASCII)), 0);
        return new RunLock(channel);
      } catch (IOException | RuntimeException e) {
        channel.close();
        throw e;
      }
    } catch (IOException e) {
      throw new MoeException(
          file + ": the run's folder cannot be locked (" + e.getMessage() + "); check its rights",
          e);
    }
  }

  private static @Nullable FileLock tryLock(FileChannel channel) throws IOException {
    try {
      return channel.tryLock(LOCKED_BYTE, 1, false);
    } catch (OverlappingFileLockException e) {
      return null;
    }
  }

  /** The process id in the file; none while its holder is about to write it. */
  private static Optional<String> holder(FileChannel channel) throws IOException {
    ByteBuffer bytes = ByteBuffer.allocate(20);
    channel.read(bytes, 0);
    String pid = new String(bytes.array(), 0, bytes.position(), StandardCharsets.US_ASCII);
    return Optional.of(pid).filter(p -> p.matches("[0-9]+"));
  }

  /** Gives the folder free. */
  @Override
  public void close() {
    try {
      channel.close();
    } catch (IOException e) {
      throw new MoeException("the lock of a run's folder cannot be released: " + e.getMessage(), e);
    }
  }
}

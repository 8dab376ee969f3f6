package org.moe4j.tensor;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.channels.FileChannel.MapMode;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import org.jspecify.annotations.Nullable;

/** A file that is read at any place, or mapped whole on first use. */
final class MappedFile implements AutoCloseable {
  private static final long CHUNK = 1 << 30;

  private final Path path;
  private final FileChannel channel;
  private final long size;
  private final Arena arena = Arena.ofShared();
  private @Nullable MemorySegment mapping;

  private MappedFile(Path path, FileChannel channel, long size) {
    this.path = path;
    this.channel = channel;
    this.size = size;
  }

  /**
   * Opens a file for reading.
   *
   * @param kind what it should be, for the message
   * @throws MoeException if it is a folder or cannot be read
   */
  static MappedFile open(Path path, String kind) {
    if (Files.isDirectory(path)) {
      throw new MoeException(path + " is a folder, not a " + kind);
    }
    FileChannel channel = null;
    try {
      channel = FileChannel.open(path);
      MappedFile file = new MappedFile(path, channel, channel.size());
      channel = null;
      return file;
    } catch (NoSuchFileException e) {
      throw new MoeException(path + ": no such file", e);
    } catch (IOException e) {
      throw unreadable(path, e);
    } finally {
      closeQuietly(channel);
    }
  }

  Path path() {
    return path;
  }

  /** The file's length in bytes when it was opened. */
  long size() {
    return size;
  }

  /** The {@code n} bytes from {@code at} on, little-endian. The caller knows that they exist. */
  ByteBuffer bytes(long at, int n) {
    ByteBuffer buffer = ByteBuffer.allocate(n).order(ByteOrder.LITTLE_ENDIAN);
    read(at, buffer);
    return buffer.flip();
  }

  /**
   * Fills {@code target} with the bytes from {@code at} on. They are read, not mapped, so that the
   * file's pages do not count as memory of the process beside them.
   */
  void read(long at, MemorySegment target) {
    for (long done = 0; done < target.byteSize(); done += CHUNK) {
      long n = Math.min(CHUNK, target.byteSize() - done);
      read(at + done, target.asSlice(done, n).asByteBuffer());
    }
  }

  private void read(long at, ByteBuffer into) {
    try {
      long position = at;
      while (into.hasRemaining()) {
        int n = channel.read(into, position);
        if (n < 0) {
          throw new MoeException(path + ": the file became shorter while it was read");
        }
        position += n;
      }
    } catch (IOException e) {
      throw unreadable(path, e);
    }
  }

  /** Bytes of the mapped file, read-only, until this file is closed. */
  synchronized MemorySegment segment(long at, long bytes) {
    MemorySegment mapped = mapping;
    if (mapped == null) {
      try {
        mapped = channel.map(MapMode.READ_ONLY, 0, size, arena);
      } catch (IOException e) {
        throw unreadable(path, e);
      }
      mapping = mapped;
    }
    return mapped.asSlice(at, bytes);
  }

  private static MoeException unreadable(Path path, IOException e) {
    return new MoeException("cannot read " + path + ": " + Names.shown(e.toString()), e);
  }

  private static void closeQuietly(@Nullable FileChannel channel) {
    if (channel == null) {
      return;
    }
    try {
      channel.close();
    } catch (IOException e) {
      // Nothing was written: there is nothing to lose.
      return;
    }
  }

  @Override
  public void close() {
    closeQuietly(channel);
    if (arena.scope().isAlive()) {
      arena.close();
    }
  }
}

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
import java.util.Map;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/** One open safetensors file. */
final class SafetensorsFile implements AutoCloseable {
  private static final int LENGTH_BYTES = 8;
  private static final long CHUNK = 1 << 30;

  private final Path path;
  private final FileChannel channel;
  private final SafetensorsHeader header;
  private final long dataStart;
  private final Arena arena = Arena.ofShared();
  private @Nullable MemorySegment mapping;

  private SafetensorsFile(
      Path path, FileChannel channel, SafetensorsHeader header, long dataStart) {
    this.path = path;
    this.channel = channel;
    this.header = header;
    this.dataStart = dataStart;
  }

  /**
   * Opens a file and checks its header; the values are not read.
   *
   * @throws MoeException if it is not a valid safetensors file
   */
  static SafetensorsFile open(Path path) {
    if (Files.isDirectory(path)) {
      throw new MoeException(path + " is a folder, not a safetensors file");
    }
    FileChannel channel = null;
    try {
      channel = FileChannel.open(path);
      SafetensorsFile file = read(path, channel);
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

  private static SafetensorsFile read(Path path, FileChannel channel) throws IOException {
    long size = channel.size();
    if (size < LENGTH_BYTES) {
      throw new MoeException(path + ": " + size + " bytes are no safetensors file");
    }
    ByteBuffer length = ByteBuffer.allocate(LENGTH_BYTES).order(ByteOrder.LITTLE_ENDIAN);
    readAt(path, channel, 0, length);
    long bytes = length.getLong(0);
    if (bytes < 0 || bytes > SafetensorsHeader.LONGEST) {
      throw new MoeException(
          path
              + ": header of "
              + Long.toUnsignedString(bytes)
              + " bytes, over the limit of "
              + SafetensorsHeader.LONGEST
              + "; this is no safetensors file");
    }
    if (bytes > size - LENGTH_BYTES) {
      throw new MoeException(
          path
              + ": the header's "
              + bytes
              + " bytes go past the file's end ("
              + size
              + " bytes);"
              + " the file is cut");
    }
    ByteBuffer json = ByteBuffer.allocate((int) bytes);
    readAt(path, channel, LENGTH_BYTES, json);
    long dataStart = LENGTH_BYTES + bytes;
    SafetensorsHeader header =
        SafetensorsHeader.parse(json.array(), size - dataStart, path.toString());
    return new SafetensorsFile(path, channel, header, dataStart);
  }

  Path path() {
    return path;
  }

  Map<String, SafetensorsHeader.Slot> tensors() {
    return header.tensors();
  }

  Map<String, String> metadata() {
    return header.metadata();
  }

  /**
   * Copies the values of a tensor into {@code target}, which has exactly their length. They are
   * read, not mapped, so that the file's pages do not count as memory of the process beside them.
   */
  void read(SafetensorsHeader.Slot slot, MemorySegment target) {
    read(slot, 0, target);
  }

  /** Copies the bytes of a tensor from its byte {@code from} on, as many as {@code target} has. */
  void read(SafetensorsHeader.Slot slot, long from, MemorySegment target) {
    Objects.checkFromIndexSize(from, target.byteSize(), slot.end() - slot.start());
    long start = dataStart + slot.start() + from;
    try {
      for (long done = 0; done < target.byteSize(); done += CHUNK) {
        long n = Math.min(CHUNK, target.byteSize() - done);
        readAt(path, channel, start + done, target.asSlice(done, n).asByteBuffer());
      }
    } catch (IOException e) {
      throw unreadable(path, e);
    }
  }

  /** The values of a tensor in the mapped file, read-only, until this file is closed. */
  MemorySegment segment(SafetensorsHeader.Slot slot) {
    return mapping().asSlice(dataStart + slot.start(), slot.end() - slot.start());
  }

  private synchronized MemorySegment mapping() {
    MemorySegment mapped = mapping;
    if (mapped == null) {
      try {
        mapped = channel.map(MapMode.READ_ONLY, 0, channel.size(), arena);
      } catch (IOException e) {
        throw unreadable(path, e);
      }
      mapping = mapped;
    }
    return mapped;
  }

  private static void readAt(Path path, FileChannel channel, long at, ByteBuffer into)
      throws IOException {
    long position = at;
    while (into.hasRemaining()) {
      int n = channel.read(into, position);
      if (n < 0) {
        throw new MoeException(path + ": the file became shorter while it was read");
      }
      position += n;
    }
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

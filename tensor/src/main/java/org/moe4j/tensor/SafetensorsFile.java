package org.moe4j.tensor;

import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.Map;
import java.util.Objects;

/** One open safetensors file. */
final class SafetensorsFile implements AutoCloseable {
  private static final int LENGTH_BYTES = 8;

  private final MappedFile file;
  private final SafetensorsHeader header;
  private final long dataStart;

  private SafetensorsFile(MappedFile file, SafetensorsHeader header, long dataStart) {
    this.file = file;
    this.header = header;
    this.dataStart = dataStart;
  }

  /**
   * Opens a file and checks its header; the values are not read.
   *
   * @throws MoeException if it is not a valid safetensors file
   */
  static SafetensorsFile open(Path path) {
    MappedFile file = MappedFile.open(path, "safetensors file");
    try {
      return read(file);
    } catch (RuntimeException e) {
      file.close();
      throw e;
    }
  }

  private static SafetensorsFile read(MappedFile file) {
    Path path = file.path();
    long size = file.size();
    if (size < LENGTH_BYTES) {
      throw new MoeException(path + ": " + size + " bytes are no safetensors file");
    }
    long bytes = file.bytes(0, LENGTH_BYTES).getLong(0);
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
    byte[] json = file.bytes(LENGTH_BYTES, (int) bytes).array();
    long dataStart = LENGTH_BYTES + bytes;
    SafetensorsHeader header = SafetensorsHeader.parse(json, size - dataStart, path.toString());
    return new SafetensorsFile(file, header, dataStart);
  }

  Path path() {
    return file.path();
  }

  Map<String, SafetensorsHeader.Slot> tensors() {
    return header.tensors();
  }

  Map<String, String> metadata() {
    return header.metadata();
  }

  /** Copies the values of a tensor into {@code target}, which has exactly their length. */
  void read(SafetensorsHeader.Slot slot, MemorySegment target) {
    read(slot, 0, target);
  }

  /** Copies the bytes of a tensor from its byte {@code from} on, as many as {@code target} has. */
  void read(SafetensorsHeader.Slot slot, long from, MemorySegment target) {
    Objects.checkFromIndexSize(from, target.byteSize(), slot.end() - slot.start());
    file.read(dataStart + slot.start() + from, target);
  }

  /** The values of a tensor in the mapped file, read-only, until this file is closed. */
  MemorySegment segment(SafetensorsHeader.Slot slot) {
    return file.segment(dataStart + slot.start(), slot.end() - slot.start());
  }

  @Override
  public void close() {
    file.close();
  }
}

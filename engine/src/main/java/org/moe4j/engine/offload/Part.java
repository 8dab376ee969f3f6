package org.moe4j.engine.offload;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import org.moe4j.engine.EngineException;
import org.moe4j.engine.gguf.GgmlType;
import org.moe4j.engine.kernel.Packing;

/**
 * Rows of one matrix of an expert: what is read in one go. The matrix of expert e begins {@code e *
 * stride} bytes after that of expert 0.
 *
 * @param tensor name of the tensor that stacks the matrices
 * @param offset in the file, of expert 0
 * @param target offset in the expert's packed memory
 * @param room bytes of it
 */
record Part(
    String tensor,
    Path file,
    Disk.Source source,
    long offset,
    long stride,
    GgmlType type,
    int rows,
    int columns,
    long target,
    long room) {
  /** Bytes on disk. */
  int bytes() {
    return Math.toIntExact(rows * type.bytes(columns));
  }

  /**
   * Reads the part of {@code expert} and packs it.
   *
   * @param staging at least {@link #bytes} and twice the alignment long
   * @throws EngineException if it cannot be read in full
   */
  void read(int expert, MemorySegment staging, Packing packing, MemorySegment slot) {
    long from = offset + expert * stride;
    long aligned = from - from % source.alignment();
    int lead = (int) (from - aligned);
    int end = lead + bytes();
    int whole = Math.ceilDiv(end, source.alignment()) * source.alignment();
    ByteBuffer to = staging.asSlice(0, whole).asByteBuffer();
    while (to.position() < end) {
      int before = to.position();
      int got;
      try {
        got = source.read(to, aligned + before);
      } catch (IOException e) {
        throw new EngineException(where(expert) + " cannot be read: " + e.getMessage(), e);
      }
      if (got <= 0 || (to.position() < end && to.position() % source.alignment() != 0)) {
        throw new EngineException(
            where(expert)
                + " ends after "
                + Math.max(0, to.position() - lead)
                + " of "
                + bytes()
                + " bytes; the file was cut off after it was opened");
      }
    }
    packing.pack(type, staging.asSlice(lead, bytes()), rows, columns, slot.asSlice(target, room));
  }

  private String where(int expert) {
    return file + ": expert " + expert + " of tensor " + tensor;
  }
}

package org.moe4j.engine.offload;

import java.nio.file.Path;
import org.moe4j.engine.gguf.GgmlType;

/**
 * A tensor that stacks one matrix of every expert of a layer, on disk.
 *
 * @param name of the tensor
 * @param file that holds it
 * @param offset of the first expert's matrix in the file
 * @param rows of a matrix
 * @param columns of a matrix
 */
public record StoredMatrix(
    String name, Path file, long offset, GgmlType type, int rows, int columns) {
  /** Bytes on disk of one expert's matrix. */
  public long bytes() {
    return rows * rowBytes();
  }

  long rowBytes() {
    return type.bytes(columns);
  }
}

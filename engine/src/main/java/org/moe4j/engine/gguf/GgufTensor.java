package org.moe4j.engine.gguf;

import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.stream.Collectors;

/**
 * A stored tensor.
 *
 * @param name in the file
 * @param type of its numbers
 * @param shape sizes, the fastest-running dimension first (as GGUF writes them): a matrix of n rows
 *     of k numbers is {@code [k, n]}, E stacked ones {@code [k, n, E]}
 * @param data its bytes in the mapped file, read-only
 */
@SuppressWarnings("ArrayRecordComponent") // handed over, never compared
public record GgufTensor(String name, GgmlType type, long[] shape, MemorySegment data) {
  /** How many numbers it has. */
  public long elements() {
    return Arrays.stream(shape).reduce(1, (a, b) -> a * b);
  }

  /** Numbers of a row. */
  public int columns() {
    return Math.toIntExact(shape[0]);
  }

  /** All rows, of all stacked matrices. */
  public long rows() {
    return shape[0] == 0 ? 0 : elements() / shape[0];
  }

  /** Bytes of a row. */
  public long rowBytes() {
    return type.bytes(shape[0]);
  }

  /** The numbers as floats. */
  public float[] floats() {
    float[] all = new float[Math.toIntExact(elements())];
    int columns = columns();
    for (int row = 0; row < rows(); row++) {
      Dequantise.row(type, data, row * rowBytes(), columns, all, row * columns);
    }
    return all;
  }

  @Override
  public String toString() {
    return name
        + " "
        + type.label()
        + Arrays.stream(shape).mapToObj(Long::toString).collect(Collectors.joining(",", "[", "]"));
  }
}

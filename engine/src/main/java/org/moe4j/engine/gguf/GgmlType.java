package org.moe4j.engine.gguf;

import java.util.Arrays;
import java.util.Locale;
import java.util.stream.Collectors;
import org.moe4j.engine.EngineException;

/**
 * How a tensor's numbers are stored: in blocks of {@link #block} numbers and {@link #bytes} bytes.
 */
public enum GgmlType {
  F32(0, 1, 4),
  F16(1, 1, 2),
  Q4_0(2, 32, 18),
  Q4_1(3, 32, 20),
  Q5_0(6, 32, 22),
  Q5_1(7, 32, 24),
  Q8_0(8, 32, 34),
  Q2_K(10, 256, 84),
  Q3_K(11, 256, 110),
  Q4_K(12, 256, 144),
  Q5_K(13, 256, 176),
  Q6_K(14, 256, 210),
  IQ4_NL(20, 32, 18),
  IQ4_XS(23, 256, 136),
  BF16(30, 1, 2),
  MXFP4(39, 32, 17);

  private final int id;
  private final int block;
  private final int bytes;

  GgmlType(int id, int block, int bytes) {
    this.id = id;
    this.block = block;
    this.bytes = bytes;
  }

  /** The number in files. */
  public int id() {
    return id;
  }

  /** Numbers of a block. */
  public int block() {
    return block;
  }

  /** Bytes of a block. */
  public int bytes() {
    return bytes;
  }

  /** The name in messages and on the command line, for instance {@code q4_0}. */
  public String label() {
    return name().toLowerCase(Locale.ROOT);
  }

  /** All labels, for messages. */
  public static String known() {
    return Arrays.stream(values()).map(GgmlType::label).collect(Collectors.joining(", "));
  }

  /**
   * Bytes of {@code elements} numbers.
   *
   * @throws EngineException if they do not fill whole blocks
   * @throws ArithmeticException if there are more than a long holds
   */
  public long bytes(long elements) {
    if (elements % block != 0) {
      throw new EngineException(
          elements + " numbers do not fill blocks of " + block + ", as " + label() + " needs");
    }
    return Math.multiplyExact(elements / block, (long) bytes);
  }
}

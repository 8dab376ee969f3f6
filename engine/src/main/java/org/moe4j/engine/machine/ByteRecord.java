package org.moe4j.engine.machine;

/**
 * How a row of activations lies in memory: for every 32 numbers one record of {@value #BYTES}
 * bytes, first their 8-bit codes in order, then four numbers of 32 bits.
 */
public final class ByteRecord {
  /** Size of a record. */
  public static final int BYTES = 48;

  /** The scale s, a float. */
  public static final int SCALE = 32;

  /** Minus 8 times the sum of the codes, an int. */
  public static final int MINUS_8_SUM = 36;

  /** Minus 32 times the sum of the first 16 codes, an int. */
  public static final int MINUS_32_FIRST = 40;

  /** s times the sum of the codes, a float. */
  public static final int SCALED_SUM = 44;

  private ByteRecord() {}
}

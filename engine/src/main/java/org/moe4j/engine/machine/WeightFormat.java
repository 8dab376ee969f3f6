package org.moe4j.engine.machine;

/** Formats of packed weights that there are kernels for; of the size of GGUF's of the same name. */
public enum WeightFormat {
  /** See {@link Q4Format}. */
  Q4_0(32, 18),
  /** See {@link Q8Format}. */
  Q8_0(32, 34),
  /** See {@link Q4KFormat}. */
  Q4_K(256, 144),
  /** See {@link Q6KFormat}. */
  Q6_K(256, 210);

  private static final int ROWS = 32;

  private final int columns;
  private final int bytes;

  WeightFormat(int columns, int bytes) {
    this.columns = columns;
    this.bytes = bytes;
  }

  /** Columns of a block. */
  public int blockColumns() {
    return columns;
  }

  /** Bytes of a stored block, of one row. */
  int storedBytes() {
    return bytes;
  }

  /** Bytes of a block of 32 rows: a multiple of 64. */
  public int blockBytes() {
    return ROWS * bytes;
  }
}

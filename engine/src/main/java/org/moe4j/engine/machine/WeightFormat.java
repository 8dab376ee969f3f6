package org.moe4j.engine.machine;

/** Formats of packed weights that there are kernels for. */
public enum WeightFormat {
  /** See {@link Q4Format}. */
  Q4_0(new Q4Format());

  private final Format format;

  WeightFormat(Format format) {
    this.format = format;
  }

  /** Bytes of a block of 32 rows. */
  public int blockBytes() {
    return format.bytes();
  }

  /** Columns of a block. */
  public int blockColumns() {
    return 32 * format.records();
  }

  Format format() {
    return format;
  }
}

package org.moe4j.engine.machine;

/**
 * How weights lie in memory, and the instructions that multiply them. A panel has 64 rows; its
 * blocks are some columns of 32 of them. The first block of rows 0 to 31, the first of rows 32 to
 * 63, the second of rows 0 to 31 and so on follow one another: processors fetch one long run ahead
 * better than two.
 */
interface Format {
  /** How many registers it uses besides sums and products. */
  int registers();

  /** Sets registers that stay the same in all blocks. */
  void constants(Assembler a, Tile tile);

  /** Adds the products of the current block with each token to the tile's sums. */
  void block(Assembler a, Tile tile);

  /** The instructions of a format. */
  static Format of(WeightFormat format) {
    return switch (format) {
      case Q4_0 -> new Q4Format();
      case Q8_0 -> new Q8Format();
      case Q4_K -> new Q4KFormat();
      case Q6_K -> new Q6KFormat();
    };
  }
}

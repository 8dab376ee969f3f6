package org.moe4j.engine.machine;

/**
 * How weights lie in memory, and the instructions that multiply them. A panel of 64 rows is two
 * halves, one behind the other; the blocks of a half follow one another, each some columns of its
 * 32 rows.
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

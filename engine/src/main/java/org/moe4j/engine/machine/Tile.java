package org.moe4j.engine.machine;

import org.moe4j.engine.machine.Operand.Address;
import org.moe4j.engine.machine.Operand.Zmm;

/**
 * Some sixteens of weight rows times some rows of activations ("tokens"), and which registers hold
 * what of it: a float sum for each sixteen and token, an integer product for each token, and what
 * is left over.
 *
 * @param sixteens multiplied in one pass over the weights
 * @param first the first of them in its panel
 */
record Tile(int tokens, int sixteens, int first) {
  /** Sixteens of a panel. */
  static final int PANEL = 4;

  /** Tokens of the largest tile. */
  static final int MOST = 8;

  private static final int REGISTERS = 32;

  private static final Gpr[] TOKENS = {
    Gpr.R8, Gpr.R9, Gpr.R10, Gpr.R11, Gpr.RAX, Gpr.RDX, Gpr.RBP, Gpr.R12
  };

  /** The addresses of the current block of the panel's first and second half. */
  static final Gpr[] BLOCKS = {Gpr.RDI, Gpr.R13};

  /** Free for constants. */
  static final Gpr SCRATCH = Gpr.R14;

  /** Bytes from the beginning of a token's row to its current record. */
  static final Gpr OFFSET = Gpr.RBX;

  /** Bytes of a row. */
  static final Gpr END = Gpr.RSI;

  /** Behind the last panel. */
  static final Gpr PANELS_END = Gpr.R15;

  /** Where the sums go. */
  static final Gpr OUT = Gpr.RCX;

  /** How many sixteens a pass takes: all, if there are registers for their sums. */
  static int sixteens(int tokens, int others) {
    return (PANEL + 1) * tokens + others <= REGISTERS ? PANEL : PANEL / 2;
  }

  /** Holds the address of token {@code t}'s row. */
  static Gpr token(int t) {
    return TOKENS[t];
  }

  /** Float sums of sixteen {@code first + i}. */
  Zmm sum(int i, int t) {
    return Operand.zmm(i * tokens + t);
  }

  /** Integer products of the sixteen at hand. */
  Zmm dot(int t) {
    return Operand.zmm(sixteens * tokens + t);
  }

  /** A register that the format may use as it likes. */
  Zmm free(int i) {
    return Operand.zmm((sixteens + 1) * tokens + i);
  }

  /** Which sixteen of its half the {@code i}th of the tile is. */
  int place(int i) {
    return (first + i) % 2;
  }

  /** Memory {@code bytes} behind the beginning of the current block of the {@code i}th sixteen. */
  Address block(int i, int bytes) {
    return Operand.at(BLOCKS[(first + i) / 2], bytes);
  }

  /** Token {@code t}'s memory {@code bytes} behind the beginning of its current record. */
  static Address record(int t, int bytes) {
    return Operand.at(TOKENS[t], OFFSET, bytes);
  }
}

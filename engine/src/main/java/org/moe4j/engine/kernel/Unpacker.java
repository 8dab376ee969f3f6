package org.moe4j.engine.kernel;

import org.moe4j.engine.gguf.GgmlType;

/**
 * Turns stretches of stored rows into floats on vectors, the bits of {@link
 * org.moe4j.engine.gguf.Dequantise#row}. Nothing is read but the blocks themselves: they may be the
 * last bytes of a mapped file.
 */
final class Unpacker {
  private Unpacker() {}

  /**
   * Unpacks consecutive numbers of a row.
   *
   * @param from address of the first block
   * @param count how many numbers, a multiple of the type's block; at most {@link CodeRow#COLUMNS}
   * @param codes address of a {@link CodeRow} for use on the way
   * @param to address that receives them, 4 bytes each
   */
  static void unpack(GgmlType type, long from, int count, long codes, long to) {
    switch (type) {
      case F32 -> PlainBlocks.f32(from, count, to);
      case F16 -> PlainBlocks.f16(from, count, to);
      case BF16 -> PlainBlocks.bf16(from, count, to);
      case Q8_0 -> PlainBlocks.q80(from, count, to);
      default -> {
        reader(type).read(from, count, codes);
        if (minimums(type)) {
          CodeRow.widenLess(codes, count, shift(type), to);
        } else {
          CodeRow.widen(codes, count, shift(type), to);
        }
      }
    }
  }

  /** Reads numbers of a type that consists of codes and scales into a {@link CodeRow}. */
  @FunctionalInterface
  interface Reader {
    /** The parameters are those of {@link #unpack}. */
    void read(long from, int count, long codes);
  }

  /** The reader of a type that consists of codes and scales. */
  static Reader reader(GgmlType type) {
    return switch (type) {
      case Q4_0 -> SmallCodes::q40;
      case Q4_1 -> SmallCodes::q41;
      case Q5_0 -> SmallCodes::q50;
      case Q5_1 -> SmallCodes::q51;
      case IQ4_NL -> SmallCodes::iq4nl;
      case IQ4_XS -> SmallCodes::iq4xs;
      case MXFP4 -> SmallCodes::mxfp4;
      case Q2_K -> SuperCodes::q2k;
      case Q3_K -> SuperCodes::q3k;
      case Q4_K -> SuperCodes::q4k;
      case Q5_K -> SuperCodes::q5k;
      case Q6_K -> SuperCodes::q6k;
      case F32, F16, BF16, Q8_0 -> throw new IllegalArgumentException(type.label());
    };
  }

  /** Whether numbers of the type have minimums. */
  static boolean minimums(GgmlType type) {
    return switch (type) {
      case Q4_1, Q5_1, Q2_K, Q4_K, Q5_K -> true;
      default -> false;
    };
  }

  /** The logarithm of how many columns share a scale. */
  static int shift(GgmlType type) {
    return switch (type) {
      case Q2_K, Q3_K, Q6_K -> 4;
      default -> 5;
    };
  }
}

package org.moe4j.engine.kernel;

import org.moe4j.engine.gguf.GgmlType;

/**
 * Turns stored blocks into floats on vectors, the bits of {@link
 * org.moe4j.engine.gguf.Dequantise#row}. Nothing is read but the blocks themselves: they may be the
 * last bytes of a mapped file.
 */
@FunctionalInterface
interface Unpacker {
  /**
   * Unpacks consecutive numbers of a row.
   *
   * @param from address of the first block
   * @param count how many numbers, a multiple of the type's block
   * @param to address that receives them, 4 bytes each
   */
  void unpack(long from, int count, long to);

  /** The one of a type. */
  static Unpacker of(GgmlType type) {
    return switch (type) {
      case F32 -> PlainBlocks::f32;
      case F16 -> PlainBlocks::f16;
      case BF16 -> PlainBlocks::bf16;
      case Q8_0 -> SmallBlocks::q80;
      case Q4_0 -> SmallBlocks::q40;
      case Q4_1 -> SmallBlocks::q41;
      case Q5_0 -> SmallBlocks::q50;
      case Q5_1 -> SmallBlocks::q51;
      case IQ4_NL -> CodeBlocks::iq4nl;
      case IQ4_XS -> CodeBlocks::iq4xs;
      case MXFP4 -> CodeBlocks::mxfp4;
      case Q2_K -> SuperBlocks::q2k;
      case Q3_K -> SuperBlocks::q3k;
      case Q4_K -> SuperBlocks::q4k;
      case Q5_K -> SuperBlocks::q5k;
      case Q6_K -> SuperBlocks::q6k;
    };
  }
}

package org.moe4j.engine.kernel;

import static jdk.incubator.vector.VectorOperators.LSHR;
import static org.moe4j.engine.kernel.Vectors.ALL;
import static org.moe4j.engine.kernel.Vectors.LE;
import static org.moe4j.engine.kernel.Vectors.bits;
import static org.moe4j.engine.kernel.Vectors.mayFault;
import static org.moe4j.engine.kernel.Vectors.scale;

import java.lang.foreign.ValueLayout;
import jdk.incubator.vector.ByteVector;
import jdk.incubator.vector.IntVector;
import org.moe4j.engine.gguf.GgmlType;

/**
 * Reads blocks of 32 numbers, and those super-blocks that are made of such, into a {@link CodeRow}.
 */
final class SmallCodes {
  private static final byte[] IQ4 = {
    -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113
  };

  /** Twice the values of E2M1's 16 codes; the scale is halved instead. */
  private static final byte[] E2M1 = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

  private static final byte[] CENTRED = {-8, -7, -6, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 6, 7};
  private static final byte[] PLAIN = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

  private SmallCodes() {}

  /** The 16 numbers that 4-bit codes of a type stand for, before their scale. */
  static float[] numbers(GgmlType type) {
    byte[] table =
        switch (type) {
          case IQ4_NL -> IQ4;
          case MXFP4 -> E2M1;
          case Q4_K -> PLAIN;
          default -> CENTRED;
        };
    float[] numbers = new float[16];
    for (int i = 0; i < 16; i++) {
      numbers[i] = table[i];
    }
    return numbers;
  }

  static void q40(long from, int count, long to) {
    long p = from;
    for (int c = 0; c < count; c += 32) {
      CodeRow.scale(to, c >> 5, scale(p));
      nibbles(p + 2, CENTRED, to + c);
      p += 18;
    }
  }

  static void q41(long from, int count, long to) {
    long p = from;
    for (int c = 0; c < count; c += 32) {
      CodeRow.scale(to, c >> 5, scale(p));
      CodeRow.minimum(to, c >> 5, -scale(p + 2));
      nibbles(p + 4, PLAIN, to + c);
      p += 20;
    }
  }

  static void q50(long from, int count, long to) {
    long p = from;
    for (int c = 0; c < count; c += 32) {
      CodeRow.scale(to, c >> 5, scale(p));
      fives(p + 6, ~bits(p + 2), -16, to + c);
      p += 22;
    }
  }

  static void q51(long from, int count, long to) {
    long p = from;
    for (int c = 0; c < count; c += 32) {
      CodeRow.scale(to, c >> 5, scale(p));
      CodeRow.minimum(to, c >> 5, -scale(p + 2));
      fives(p + 8, bits(p + 4), 16, to + c);
      p += 24;
    }
  }

  static void iq4nl(long from, int count, long to) {
    long p = from;
    for (int c = 0; c < count; c += 32) {
      CodeRow.scale(to, c >> 5, scale(p));
      nibbles(p + 2, IQ4, to + c);
      p += 18;
    }
  }

  static void mxfp4(long from, int count, long to) {
    long p = from;
    for (int c = 0; c < count; c += 32) {
      CodeRow.scale(to, c >> 5, halfPower(Vectors.unsigned(p)));
      nibbles(p + 1, E2M1, to + c);
      p += 17;
    }
  }

  /** Eight blocks with 6-bit scales: low 4 bits after the high 2. */
  static void iq4xs(long from, int count, long to) {
    long p = from;
    for (int c = 0; c < count; c += 256) {
      float d = scale(p);
      int high = ALL.get(ValueLayout.JAVA_SHORT_UNALIGNED, p + 2);
      int low = bits(p + 4);
      for (int i = 0; i < 8; i++) {
        int scale = ((low >>> (4 * i)) & 15) | (((high >> (2 * i)) & 3) << 4);
        CodeRow.scale(to, (c >> 5) + i, d * (scale - 32));
        nibbles(p + 8 + 16L * i, IQ4, to + c + 32L * i);
      }
      p += 136;
    }
  }

  /** 2^(e-128), the half of an E8M0 scale; exact also where it is subnormal. */
  static float halfPower(int e) {
    return Float.intBitsToFloat(e < 2 ? 0x00200000 << e : (e - 1) << 23);
  }

  /** Sixteen bytes: numbers of the table for their low halves, then for their high ones. */
  private static void nibbles(long at, byte[] table, long to) {
    mayFault();
    ByteVector numbers = ByteVector.fromArray(ByteVector.SPECIES_128, table, 0);
    IntVector q = IntVector.fromMemorySegment(IntVector.SPECIES_128, ALL, at, LE);
    ByteVector low = q.and(0x0f0f0f0f).reinterpretAsBytes();
    ByteVector high = q.lanewise(LSHR, 4).and(0x0f0f0f0f).reinterpretAsBytes();
    low.selectFrom(numbers).intoMemorySegment(ALL, to, LE);
    high.selectFrom(numbers).intoMemorySegment(ALL, to + 16, LE);
  }

  /**
   * Halves of sixteen bytes, with {@code fifth} added to those whose bit of {@code mask} is set.
   */
  private static void fives(long at, int mask, int fifth, long to) {
    IntVector q = IntVector.fromMemorySegment(IntVector.SPECIES_128, ALL, at, LE);
    q.and(0x0f0f0f0f).reinterpretAsBytes().intoMemorySegment(ALL, to, LE);
    q.lanewise(LSHR, 4).and(0x0f0f0f0f).reinterpretAsBytes().intoMemorySegment(ALL, to + 16, LE);
    for (int i = 0; i < 32; i += 8) {
      long spread = spread(mask >>> i);
      long codes = ALL.get(ValueLayout.JAVA_LONG_UNALIGNED, to + i);
      ALL.set(ValueLayout.JAVA_LONG_UNALIGNED, to + i, codes | (spread * (fifth & 0xff)));
    }
  }

  /** The low 8 bits as bytes of 0 or 1. */
  private static long spread(int bits) {
    long each = ((bits & 0xffL) * 0x0101010101010101L) & 0x8040201008040201L;
    return ((each + 0x7f7f7f7f7f7f7f7fL) >>> 7) & 0x0101010101010101L;
  }
}

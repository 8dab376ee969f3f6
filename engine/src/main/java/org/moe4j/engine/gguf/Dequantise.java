package org.moe4j.engine.gguf;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;

/**
 * Stored blocks as floats, one block at a time: the reference that every fast kernel is compared
 * with. Each product and sum is rounded to float in the order of the format's own definition, so
 * results are the same bits as the reference implementation's.
 */
public final class Dequantise {
  private static final ValueLayout.OfShort SHORT =
      ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  private static final ValueLayout.OfInt INT =
      ValueLayout.JAVA_INT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  /** The values of IQ4's 16 codes. */
  private static final byte[] IQ4 = {
    -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113
  };

  /** Twice the values of E2M1's 16 codes; the scale is halved instead. */
  private static final byte[] E2M1 = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

  private Dequantise() {}

  /**
   * Numbers {@code 0..count-1} of a stored row.
   *
   * @param stored the row's bytes, from {@code offset}
   * @param count a multiple of the type's block
   * @param to receives the numbers from index {@code at}
   */
  public static void row(
      GgmlType type, MemorySegment stored, long offset, int count, float[] to, int at) {
    int blocks = count / type.block();
    for (int b = 0; b < blocks; b++) {
      block(type, stored, offset + (long) b * type.bytes(), to, at + b * type.block());
    }
  }

  private static void block(GgmlType type, MemorySegment m, long p, float[] to, int at) {
    switch (type) {
      case F32 -> to[at] = Float.intBitsToFloat(m.get(INT, p));
      case F16 -> to[at] = half(m, p);
      case BF16 -> to[at] = Float.intBitsToFloat(m.get(SHORT, p) << 16);
      case Q4_0 -> nibbles(m, p + 2, half(m, p), -8, to, at);
      case Q4_1 -> {
        nibbles(m, p + 4, half(m, p), 0, to, at);
        add(half(m, p + 2), to, at);
      }
      case Q5_0 -> fives(m, p + 6, m.get(INT, p + 2), half(m, p), -16, to, at);
      case Q5_1 -> {
        fives(m, p + 8, m.get(INT, p + 4), half(m, p), 0, to, at);
        add(half(m, p + 2), to, at);
      }
      case Q8_0 -> {
        float d = half(m, p);
        for (int i = 0; i < 32; i++) {
          to[at + i] = m.get(ValueLayout.JAVA_BYTE, p + 2 + i) * d;
        }
      }
      case IQ4_NL -> codes(m, p + 2, half(m, p), IQ4, to, at);
      case MXFP4 -> codes(m, p + 1, halfPower(unsigned(m, p)), E2M1, to, at);
      case IQ4_XS -> iq4xs(m, p, to, at);
      case Q2_K -> q2k(m, p, to, at);
      case Q3_K -> q3k(m, p, to, at);
      case Q4_K -> q4k(m, p, to, at);
      case Q5_K -> q5k(m, p, to, at);
      case Q6_K -> q6k(m, p, to, at);
    }
  }

  private static float half(MemorySegment m, long p) {
    return Float.float16ToFloat(m.get(SHORT, p));
  }

  private static int unsigned(MemorySegment m, long p) {
    return m.get(ValueLayout.JAVA_BYTE, p) & 0xff;
  }

  /** 2^(e-128), the half of an E8M0 scale; exact also where it is subnormal. */
  private static float halfPower(int e) {
    return Float.intBitsToFloat(e < 2 ? 0x00200000 << e : (e - 1) << 23);
  }

  private static void add(float min, float[] to, int at) {
    for (int i = 0; i < 32; i++) {
      to[at + i] += min;
    }
  }

  private static void nibbles(MemorySegment m, long p, float d, int shift, float[] to, int at) {
    for (int i = 0; i < 16; i++) {
      int q = unsigned(m, p + i);
      to[at + i] = d * ((q & 15) + shift);
      to[at + 16 + i] = d * ((q >> 4) + shift);
    }
  }

  private static void fives(
      MemorySegment m, long p, int high, float d, int shift, float[] to, int at) {
    for (int i = 0; i < 16; i++) {
      int q = unsigned(m, p + i);
      to[at + i] = d * (((q & 15) | (((high >>> i) & 1) << 4)) + shift);
      to[at + 16 + i] = d * (((q >> 4) | (((high >>> (16 + i)) & 1) << 4)) + shift);
    }
  }

  private static void codes(MemorySegment m, long p, float d, byte[] book, float[] to, int at) {
    for (int i = 0; i < 16; i++) {
      int q = unsigned(m, p + i);
      to[at + i] = d * book[q & 15];
      to[at + 16 + i] = d * book[q >> 4];
    }
  }

  /** f16 scale; 8 sub-blocks of 32 with 6-bit scales, low 4 bits after the high 2. */
  private static void iq4xs(MemorySegment m, long p, float[] to, int at) {
    float d = half(m, p);
    int high = m.get(SHORT, p + 2);
    for (int b = 0; b < 8; b++) {
      int low = (unsigned(m, p + 4 + b / 2) >> (4 * (b & 1))) & 15;
      int scale = low | (((high >> (2 * b)) & 3) << 4);
      codes(m, p + 8 + 16L * b, d * (scale - 32), IQ4, to, at + 32 * b);
    }
  }

  /** 16 sub-blocks of 16, each with 4 bits of scale and 4 of minimum; 2 bits a number. */
  private static void q2k(MemorySegment m, long p, float[] to, int at) {
    float d = half(m, p + 80);
    float min = half(m, p + 82);
    for (int b = 0; b < 16; b++) {
      int scales = unsigned(m, p + b);
      float scale = d * (scales & 15);
      float less = min * (scales >> 4);
      long from = p + 16 + 32L * (b / 8) + 16L * (b & 1);
      int shift = 2 * ((b / 2) & 3);
      for (int i = 0; i < 16; i++) {
        to[at + 16 * b + i] = scale * ((unsigned(m, from + i) >> shift) & 3) - less;
      }
    }
  }

  /** 16 sub-blocks of 16 with 6-bit scales; 2 low bits a number, the third in a mask. */
  private static void q3k(MemorySegment m, long p, float[] to, int at) {
    float d = half(m, p + 108);
    for (int b = 0; b < 16; b++) {
      int low = (unsigned(m, p + 96 + (b & 7)) >> (4 * (b / 8))) & 15;
      int high = (unsigned(m, p + 104 + (b & 3)) >> (2 * (b / 4))) & 3;
      float scale = d * ((low | (high << 4)) - 32);
      long mask = p + 16L * (b & 1);
      long from = p + 32 + 32L * (b / 8) + 16L * (b & 1);
      int shift = 2 * ((b / 2) & 3);
      for (int i = 0; i < 16; i++) {
        int q = (unsigned(m, from + i) >> shift) & 3;
        int kept = (unsigned(m, mask + i) >> (b / 2)) & 1;
        to[at + 16 * b + i] = scale * (kept == 1 ? q : q - 4);
      }
    }
  }

  /** The 6-bit scale of sub-block {@code b} of Q4_K and Q5_K, packed in 12 bytes at {@code p}. */
  private static int scale(MemorySegment m, long p, int b) {
    return b < 4
        ? unsigned(m, p + b) & 63
        : (unsigned(m, p + 4 + b) & 15) | ((unsigned(m, p + b - 4) >> 6) << 4);
  }

  /** The 6-bit minimum of sub-block {@code b}. */
  private static int minimum(MemorySegment m, long p, int b) {
    return b < 4
        ? unsigned(m, p + 4 + b) & 63
        : (unsigned(m, p + 4 + b) >> 4) | ((unsigned(m, p + b) >> 6) << 4);
  }

  private static void q4k(MemorySegment m, long p, float[] to, int at) {
    float d = half(m, p);
    float min = half(m, p + 2);
    for (int b = 0; b < 8; b++) {
      float scale = d * scale(m, p + 4, b);
      float less = min * minimum(m, p + 4, b);
      long from = p + 16 + 32L * (b / 2);
      for (int i = 0; i < 32; i++) {
        int q = (unsigned(m, from + i) >> (4 * (b & 1))) & 15;
        to[at + 32 * b + i] = scale * q - less;
      }
    }
  }

  private static void q5k(MemorySegment m, long p, float[] to, int at) {
    float d = half(m, p);
    float min = half(m, p + 2);
    for (int b = 0; b < 8; b++) {
      float scale = d * scale(m, p + 4, b);
      float less = min * minimum(m, p + 4, b);
      long from = p + 48 + 32L * (b / 2);
      for (int i = 0; i < 32; i++) {
        int low = (unsigned(m, from + i) >> (4 * (b & 1))) & 15;
        int high = (unsigned(m, p + 16 + i) >> b) & 1;
        to[at + 32 * b + i] = scale * (low | (high << 4)) - less;
      }
    }
  }

  /** 16 sub-blocks of 16 with 8-bit scales; 4 low bits a number, 2 high bits elsewhere. */
  private static void q6k(MemorySegment m, long p, float[] to, int at) {
    float d = half(m, p + 208);
    for (int b = 0; b < 16; b++) {
      float scale = d * m.get(ValueLayout.JAVA_BYTE, p + 192 + b);
      int half = b / 8; // of the 256 numbers
      int quarter = (b / 2) & 3; // of the 128
      long low = p + 64L * half + 32L * (quarter & 1) + 16L * (b & 1);
      long high = p + 128 + 32L * half + 16L * (b & 1);
      for (int i = 0; i < 16; i++) {
        int q = (unsigned(m, low + i) >> (4 * (quarter / 2))) & 15;
        q |= ((unsigned(m, high + i) >> (2 * quarter)) & 3) << 4;
        to[at + 16 * b + i] = scale * (q - 32);
      }
    }
  }
}

package org.moe4j.engine.kernel;

import static jdk.incubator.vector.VectorOperators.LSHL;
import static jdk.incubator.vector.VectorOperators.LSHR;
import static org.moe4j.engine.kernel.Vectors.ALL;
import static org.moe4j.engine.kernel.Vectors.L;
import static org.moe4j.engine.kernel.Vectors.floats;
import static org.moe4j.engine.kernel.Vectors.put;
import static org.moe4j.engine.kernel.Vectors.unsigned;
import static org.moe4j.engine.kernel.Vectors.unsignedBytes;

import java.lang.foreign.ValueLayout;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;

/**
 * Unpackers of blocks of 256 numbers, whose sub-blocks of 16 or 32 have small scales of their own.
 */
final class SuperBlocks {
  private SuperBlocks() {}

  static void q2k(long from, int count, long to) {
    long p = from;
    for (int b = 0; b < count; b += 256) {
      float d = Vectors.scale(p + 80);
      float min = Vectors.scale(p + 82);
      for (int i = 0; i < 16; i++) {
        int scales = unsigned(p + i);
        long codes = p + 16 + 32L * (i / 8) + 16L * (i & 1);
        q2(codes, 2 * ((i / 2) & 3), d * (scales & 15), min * (scales >> 4), to + 4L * (b + 16 * i));
      }
      p += 84;
    }
  }

  private static void q2(long codes, int shift, float scale, float less, long to) {
    for (int c = 0; c < 16; c += L) {
      IntVector q = unsignedBytes(codes + c).lanewise(LSHR, shift).and(3);
      put(floats(q).mul(scale).sub(less), to + 4L * c);
    }
  }

  static void q3k(long from, int count, long to) {
    long p = from;
    for (int b = 0; b < count; b += 256) {
      float d = Vectors.scale(p + 108);
      for (int i = 0; i < 16; i++) {
        int low = (unsigned(p + 96 + (i & 7)) >> (4 * (i / 8))) & 15;
        int high = (unsigned(p + 104 + (i & 3)) >> (2 * (i / 4))) & 3;
        float scale = d * ((low | (high << 4)) - 32);
        long mask = p + 16L * (i & 1);
        long codes = p + 32 + 32L * (i / 8) + 16L * (i & 1);
        q3(codes, 2 * ((i / 2) & 3), mask, i / 2, scale, to + 4L * (b + 16 * i));
      }
      p += 110;
    }
  }

  private static void q3(
      long codes, int shift, long mask, int bit, float scale, long to) {
    for (int c = 0; c < 16; c += L) {
      IntVector q = unsignedBytes(codes + c).lanewise(LSHR, shift).and(3);
      IntVector kept = unsignedBytes(mask + c).lanewise(LSHR, bit).and(1).lanewise(LSHL, 2);
      put(floats(q.or(kept).sub(4)).mul(scale), to + 4L * c);
    }
  }

  static void q4k(long from, int count, long to) {
    long p = from;
    for (int b = 0; b < count; b += 256) {
      float d = Vectors.scale(p);
      float min = Vectors.scale(p + 2);
      for (int i = 0; i < 8; i += 2) {
        float d0 = d * scale(p + 4, i);
        float d1 = d * scale(p + 4, i + 1);
        float m0 = min * minimum(p + 4, i);
        float m1 = min * minimum(p + 4, i + 1);
        q4(p + 16 + 16L * i, d0, m0, d1, m1, to + 4L * (b + 32 * i));
      }
      p += 144;
    }
  }

  private static void q4(
      long codes, float d0, float m0, float d1, float m1, long to) {
    for (int c = 0; c < 32; c += L) {
      IntVector q = unsignedBytes(codes + c);
      put(floats(q.and(15)).mul(d0).sub(m0), to + 4L * c);
      put(floats(q.lanewise(LSHR, 4)).mul(d1).sub(m1), to + 4L * (c + 32));
    }
  }

  static void q5k(long from, int count, long to) {
    long p = from;
    for (int b = 0; b < count; b += 256) {
      float d = Vectors.scale(p);
      float min = Vectors.scale(p + 2);
      for (int i = 0; i < 8; i += 2) {
        float d0 = d * scale(p + 4, i);
        float d1 = d * scale(p + 4, i + 1);
        float m0 = min * minimum(p + 4, i);
        float m1 = min * minimum(p + 4, i + 1);
        q5(p + 48 + 16L * i, p + 16, i, d0, m0, d1, m1, to + 4L * (b + 32 * i));
      }
      p += 176;
    }
  }

  private static void q5(
      long codes,
      long mask,
      int bit,
      float d0,
      float m0,
      float d1,
      float m1,
      long to) {
    for (int c = 0; c < 32; c += L) {
      IntVector q = unsignedBytes(codes + c);
      IntVector high = unsignedBytes(mask + c).lanewise(LSHR, bit);
      IntVector low = q.and(15).or(high.and(1).lanewise(LSHL, 4));
      put(floats(low).mul(d0).sub(m0), to + 4L * c);
      low = q.lanewise(LSHR, 4).or(high.and(2).lanewise(LSHL, 3));
      put(floats(low).mul(d1).sub(m1), to + 4L * (c + 32));
    }
  }

  static void q6k(long from, int count, long to) {
    long p = from;
    for (int b = 0; b < count; b += 256) {
      float d = Vectors.scale(p + 208);
      for (int i = 0; i < 4; i++) {
        // sixteens i & 1 of the four quarters of half i / 2
        long scales = p + 192 + 8L * (i / 2) + (i & 1);
        long low = p + 64L * (i / 2) + 16L * (i & 1);
        long high = p + 128 + 32L * (i / 2) + 16L * (i & 1);
        q6(low, high, scales, d, to + 4L * (b + 128 * (i / 2) + 16 * (i & 1)));
      }
      p += 210;
    }
  }

  private static void q6(long low, long high, long scales, float d, long to) {
    float d0 = d * signed(scales);
    float d1 = d * signed(scales + 2);
    float d2 = d * signed(scales + 4);
    float d3 = d * signed(scales + 6);
    for (int c = 0; c < 16; c += L) {
      IntVector a = unsignedBytes(low + c);
      IntVector b = unsignedBytes(low + 32 + c);
      IntVector h = unsignedBytes(high + c);
      put(six(a.and(15), h.lanewise(LSHL, 4).and(0x30), d0), to + 4L * c);
      put(six(b.and(15), h.lanewise(LSHL, 2).and(0x30), d1), to + 4L * (c + 32));
      put(six(a.lanewise(LSHR, 4), h.and(0x30), d2), to + 4L * (c + 64));
      put(six(b.lanewise(LSHR, 4), h.lanewise(LSHR, 2).and(0x30), d3), to + 4L * (c + 96));
    }
  }

  private static FloatVector six(IntVector low, IntVector high, float scale) {
    return floats(low.or(high).sub(32)).mul(scale);
  }

  private static int signed(long at) {
    return ALL.get(ValueLayout.JAVA_BYTE, at);
  }

  /** The 6-bit scale of sub-block {@code b} of Q4_K and Q5_K, packed in 12 bytes at {@code p}. */
  private static int scale(long p, int b) {
    return b < 4
        ? unsigned(p + b) & 63
        : (unsigned(p + 4 + b) & 15) | ((unsigned(p + b - 4) >> 6) << 4);
  }

  /** The 6-bit minimum of sub-block {@code b}. */
  private static int minimum(long p, int b) {
    return b < 4
        ? unsigned(p + 4 + b) & 63
        : (unsigned(p + 4 + b) >> 4) | ((unsigned(p + b) >> 6) << 4);
  }
}

package org.moe4j.engine.kernel;

import static jdk.incubator.vector.VectorOperators.LSHL;
import static jdk.incubator.vector.VectorOperators.LSHR;
import static org.moe4j.engine.kernel.Vectors.ALL;
import static org.moe4j.engine.kernel.Vectors.LE;
import static org.moe4j.engine.kernel.Vectors.bits;
import static org.moe4j.engine.kernel.Vectors.floats;
import static org.moe4j.engine.kernel.Vectors.mayFault;
import static org.moe4j.engine.kernel.Vectors.scale;

import java.lang.foreign.ValueLayout;
import jdk.incubator.vector.ByteVector;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorShape;
import jdk.incubator.vector.VectorSpecies;

/**
 * Reads blocks of 256 numbers, whose sub-blocks of 16 or 32 have small scales of their own, into a
 * {@link CodeRow}. Codes of 32 columns lie in equal bits of 32 bytes.
 */
final class SuperCodes {
  /** At most 32 bytes. */
  private static final VectorSpecies<Integer> I =
      VectorSpecies.of(int.class, VectorShape.forBitSize(Math.min(256, Vectors.L * 32)));

  private static final int BYTES = I.length() * 4;
  private static final VectorSpecies<Float> EIGHT = FloatVector.SPECIES_256;

  private SuperCodes() {}

  static void q2k(long from, int count, long to) {
    long p = from;
    for (int c = 0; c < count; c += 256) {
      pairs(p, scale(p + 80), scale(p + 82), to, c >> 4);
      for (int i = 0; i < 8; i++) {
        two(p + 16 + 32L * (i / 4), 2 * (i & 3), to + c + 32L * i);
      }
      p += 84;
    }
  }

  /** Scales in the low halves of 16 bytes, minimums in the high ones. */
  private static void pairs(long at, float d, float min, long to, int block) {
    for (int i = 0; i < 16; i += Vectors.L) {
      IntVector both = Vectors.signedBytes(at + i);
      long place = to + 4L * (block + i);
      Vectors.put(floats(both.and(15)).mul(d), place + CodeRow.SCALES);
      Vectors.put(floats(both.lanewise(LSHR, 4).and(15)).mul(min), place + CodeRow.MINIMUMS);
    }
  }

  private static void two(long codes, int shift, long to) {
    for (int i = 0; i < 32; i += BYTES) {
      put(load(codes + i).lanewise(LSHR, shift).and(0x03030303), to + i);
    }
  }

  static void q3k(long from, int count, long to) {
    long p = from;
    for (int c = 0; c < count; c += 256) {
      int a = bits(p + 96);
      int b = bits(p + 100);
      int high = bits(p + 104);
      long room = to + CodeRow.ROOM;
      sixBits(a, high << 4, room);
      sixBits(b, high << 2, room + 4);
      sixBits(a >>> 4, high, room + 8);
      sixBits(b >>> 4, high >>> 2, room + 12);
      sixteen(room, 32, scale(p + 108), to, c >> 4);
      for (int i = 0; i < 8; i++) {
        three(p + 32 + 32L * (i / 4), 2 * (i & 3), p, i, to + c + 32L * i);
      }
      p += 110;
    }
  }

  /** Four bytes of low halves with two bits above them. */
  private static void sixBits(int low, int high, long to) {
    ALL.set(ValueLayout.JAVA_INT_UNALIGNED, to, (low & 0x0f0f0f0f) | (high & 0x30303030));
  }

  /** The scales of 16 sub-blocks from as many bytes. */
  private static void sixteen(long at, int less, float d, long to, int block) {
    for (int i = 0; i < 16; i += Vectors.L) {
      FloatVector scales = floats(Vectors.signedBytes(at + i).sub(less)).mul(d);
      Vectors.put(scales, to + CodeRow.SCALES + 4L * (block + i));
    }
  }

  private static void three(long codes, int shift, long mask, int bit, long to) {
    for (int i = 0; i < 32; i += BYTES) {
      IntVector high = load(mask + i).lanewise(LSHR, bit).and(0x01010101).lanewise(LSHL, 2);
      IntVector q = load(codes + i).lanewise(LSHR, shift).and(0x03030303).or(high);
      put(q.reinterpretAsBytes().sub((byte) 4).reinterpretAsInts(), to + i);
    }
  }

  static void q4k(long from, int count, long to) {
    long p = from;
    for (int c = 0; c < count; c += 256) {
      scales(p, to, c >> 5);
      for (int i = 0; i < 4; i++) {
        four(p + 16 + 32L * i, to + c + 64L * i);
      }
      p += 144;
    }
  }

  /** The scales and minimums alone. */
  static void q4kScales(long from, int count, long to) {
    for (int c = 0; c < count; c += 256) {
      scales(from + (c >> 8) * 144L, to, c >> 5);
    }
  }

  private static void four(long codes, long to) {
    for (int i = 0; i < 32; i += BYTES) {
      IntVector q = load(codes + i);
      put(q.and(0x0f0f0f0f), to + i);
      put(q.lanewise(LSHR, 4).and(0x0f0f0f0f), to + 32 + i);
    }
  }

  static void q5k(long from, int count, long to) {
    long p = from;
    for (int c = 0; c < count; c += 256) {
      scales(p, to, c >> 5);
      for (int i = 0; i < 4; i++) {
        five(p + 48 + 32L * i, p + 16, 2 * i, to + c + 64L * i);
      }
      p += 176;
    }
  }

  private static void five(long codes, long mask, int bit, long to) {
    for (int i = 0; i < 32; i += BYTES) {
      IntVector q = load(codes + i);
      IntVector high = load(mask + i).lanewise(LSHR, bit);
      put(q.and(0x0f0f0f0f).or(high.and(0x01010101).lanewise(LSHL, 4)), to + i);
      high = high.and(0x02020202).lanewise(LSHL, 3);
      put(q.lanewise(LSHR, 4).and(0x0f0f0f0f).or(high), to + 32 + i);
    }
  }

  /** The 6-bit scales and minimums of Q4_K and Q5_K: four in the low bits of 4 bytes each. */
  private static void scales(long p, long to, int block) {
    int a = bits(p + 4);
    int b = bits(p + 8);
    int both = bits(p + 12);
    long room = to + CodeRow.ROOM;
    ALL.set(ValueLayout.JAVA_INT_UNALIGNED, room, a & 0x3f3f3f3f);
    sixBits(both, a >>> 2, room + 4);
    ALL.set(ValueLayout.JAVA_INT_UNALIGNED, room + 8, b & 0x3f3f3f3f);
    sixBits(both >>> 4, b >>> 2, room + 12);
    eight(room, scale(p), to + CodeRow.SCALES + 4L * block);
    eight(room + 8, scale(p + 2), to + CodeRow.MINIMUMS + 4L * block);
  }

  /** Eight bytes times a number. */
  private static void eight(long at, float d, long to) {
    if (Vectors.L == 4) {
      Vectors.put(floats(Vectors.signedBytes(at)).mul(d), to);
      Vectors.put(floats(Vectors.signedBytes(at + 4)).mul(d), to + 16);
    } else {
      ByteVector bytes = ByteVector.fromMemorySegment(ByteVector.SPECIES_64, ALL, at, LE);
      FloatVector numbers = (FloatVector) bytes.convertShape(VectorOperators.B2F, EIGHT, 0);
      numbers.mul(d).intoMemorySegment(ALL, to, LE);
    }
  }

  static void q6k(long from, int count, long to) {
    long p = from;
    for (int c = 0; c < count; c += 256) {
      sixteen(p + 192, 0, scale(p + 208), to, c >> 4);
      for (int i = 0; i < 8; i++) {
        int quarter = i & 3;
        long low = p + 64L * (i / 4) + 32L * (quarter & 1);
        six(low, 4 * (quarter / 2), p + 128 + 32L * (i / 4), 2 * quarter, to + c + 32L * i);
      }
      p += 210;
    }
  }

  private static void six(long low, int shift, long high, int bit, long to) {
    for (int i = 0; i < 32; i += BYTES) {
      IntVector h = load(high + i).lanewise(LSHR, bit).and(0x03030303).lanewise(LSHL, 4);
      IntVector q = load(low + i).lanewise(LSHR, shift).and(0x0f0f0f0f).or(h);
      put(q.reinterpretAsBytes().sub((byte) 32).reinterpretAsInts(), to + i);
    }
  }

  private static IntVector load(long at) {
    mayFault();
    return IntVector.fromMemorySegment(I, ALL, at, LE);
  }

  private static void put(IntVector codes, long at) {
    codes.intoMemorySegment(ALL, at, LE);
  }
}

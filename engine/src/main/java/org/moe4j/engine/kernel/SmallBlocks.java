package org.moe4j.engine.kernel;

import static jdk.incubator.vector.VectorOperators.LSHL;
import static jdk.incubator.vector.VectorOperators.LSHR;
import static org.moe4j.engine.kernel.Vectors.I;
import static org.moe4j.engine.kernel.Vectors.L;
import static org.moe4j.engine.kernel.Vectors.bits;
import static org.moe4j.engine.kernel.Vectors.floats;
import static org.moe4j.engine.kernel.Vectors.put;
import static org.moe4j.engine.kernel.Vectors.scale;
import static org.moe4j.engine.kernel.Vectors.signedBytes;
import static org.moe4j.engine.kernel.Vectors.unsignedBytes;

import jdk.incubator.vector.IntVector;

/** Unpackers of blocks of 32 numbers with a half-precision scale, and a minimum in some. */
final class SmallBlocks {
  private static final IntVector PLACES = IntVector.zero(I).addIndex(1);

  private SmallBlocks() {}

  static void q80(long from, int count, long to) {
    long p = from;
    for (int b = 0; b < count; b += 32) {
      float d = scale(p);
      for (int c = 0; c < 32; c += L) {
        put(floats(signedBytes(p + 2 + c)).mul(d), to + 4L * (b + c));
      }
      p += 34;
    }
  }

  static void q40(long from, int count, long to) {
    long p = from;
    for (int b = 0; b < count; b += 32) {
      float d = scale(p);
      for (int c = 0; c < 16; c += L) {
        IntVector q = unsignedBytes(p + 2 + c);
        put(floats(q.and(15).sub(8)).mul(d), to + 4L * (b + c));
        put(floats(q.lanewise(LSHR, 4).sub(8)).mul(d), to + 4L * (b + c + 16));
      }
      p += 18;
    }
  }

  static void q41(long from, int count, long to) {
    long p = from;
    for (int b = 0; b < count; b += 32) {
      float d = scale(p);
      float min = scale(p + 2);
      for (int c = 0; c < 16; c += L) {
        IntVector q = unsignedBytes(p + 4 + c);
        put(floats(q.and(15)).mul(d).add(min), to + 4L * (b + c));
        put(floats(q.lanewise(LSHR, 4)).mul(d).add(min), to + 4L * (b + c + 16));
      }
      p += 20;
    }
  }

  static void q50(long from, int count, long to) {
    long p = from;
    for (int b = 0; b < count; b += 32) {
      float d = scale(p);
      int high = bits(p + 2);
      for (int c = 0; c < 16; c += L) {
        IntVector q = unsignedBytes(p + 6 + c);
        IntVector low = q.and(15).or(fifth(high >>> c));
        put(floats(low.sub(16)).mul(d), to + 4L * (b + c));
        low = q.lanewise(LSHR, 4).or(fifth(high >>> (16 + c)));
        put(floats(low.sub(16)).mul(d), to + 4L * (b + c + 16));
      }
      p += 22;
    }
  }

  static void q51(long from, int count, long to) {
    long p = from;
    for (int b = 0; b < count; b += 32) {
      float d = scale(p);
      float min = scale(p + 2);
      int high = bits(p + 4);
      for (int c = 0; c < 16; c += L) {
        IntVector q = unsignedBytes(p + 8 + c);
        IntVector low = q.and(15).or(fifth(high >>> c));
        put(floats(low).mul(d).add(min), to + 4L * (b + c));
        low = q.lanewise(LSHR, 4).or(fifth(high >>> (16 + c)));
        put(floats(low).mul(d).add(min), to + 4L * (b + c + 16));
      }
      p += 24;
    }
  }

  /** Bit i of {@code high} in bit 4 of lane i. */
  private static IntVector fifth(int high) {
    return IntVector.broadcast(I, high).lanewise(LSHR, PLACES).and(1).lanewise(LSHL, 4);
  }
}

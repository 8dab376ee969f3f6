package org.moe4j.engine.kernel;

import static jdk.incubator.vector.VectorOperators.LSHR;
import static org.moe4j.engine.kernel.Vectors.I;
import static org.moe4j.engine.kernel.Vectors.L;
import static org.moe4j.engine.kernel.Vectors.put;
import static org.moe4j.engine.kernel.Vectors.unsignedBytes;

import java.lang.foreign.ValueLayout;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorOperators;

/** Unpackers of types whose 4-bit codes stand for numbers of a table. */
final class CodeBlocks {
  private static final int[] IQ4 = {
    -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113
  };

  /** Twice the values of E2M1's 16 codes; the scale is halved instead. */
  private static final int[] E2M1 = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

  private CodeBlocks() {}

  static void iq4nl(long from, int count, long to) {
    long p = from;
    for (int b = 0; b < count; b += 32) {
      codes(p + 2, Vectors.scale(p), IQ4, to + 4L * b);
      p += 18;
    }
  }

  static void mxfp4(long from, int count, long to) {
    long p = from;
    for (int b = 0; b < count; b += 32) {
      codes(p + 1, halfPower(Vectors.unsigned(p)), E2M1, to + 4L * b);
      p += 17;
    }
  }

  static void iq4xs(long from, int count, long to) {
    long p = from;
    for (int b = 0; b < count; b += 256) {
      float d = Vectors.scale(p);
      int high = Vectors.ALL.get(ValueLayout.JAVA_SHORT_UNALIGNED, p + 2);
      int low = Vectors.bits(p + 4);
      for (int i = 0; i < 8; i++) {
        int scale = ((low >>> (4 * i)) & 15) | (((high >> (2 * i)) & 3) << 4);
        codes(p + 8 + 16L * i, d * (scale - 32), IQ4, to + 4L * (b + 32 * i));
      }
      p += 136;
    }
  }

  /** 2^(e-128), the half of an E8M0 scale; exact also where it is subnormal. */
  private static float halfPower(int e) {
    return Float.intBitsToFloat(e < 2 ? 0x00200000 << e : (e - 1) << 23);
  }

  private static void codes(long p, float d, int[] table, long to) {
    for (int c = 0; c < 16; c += L) {
      IntVector q = unsignedBytes(p + c);
      put(Vectors.floats(look(table, q.and(15))).mul(d), to + 4L * c);
      put(Vectors.floats(look(table, q.lanewise(LSHR, 4))).mul(d), to + 4L * (c + 16));
    }
  }

  /** The table's number for each code: from a vector of it, or from several and then chosen. */
  private static IntVector look(int[] table, IntVector codes) {
    IntVector found = codes.selectFrom(IntVector.fromArray(I, table, 0));
    for (int i = L; i < 16; i += L) {
      IntVector other = codes.selectFrom(IntVector.fromArray(I, table, i));
      found = found.blend(other, codes.compare(VectorOperators.GE, i));
    }
    return found;
  }
}

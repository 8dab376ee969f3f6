package org.moe4j.engine.kernel;

import static jdk.incubator.vector.VectorOperators.LSHL;
import static org.moe4j.engine.kernel.Vectors.ALL;
import static org.moe4j.engine.kernel.Vectors.F;
import static org.moe4j.engine.kernel.Vectors.L;
import static org.moe4j.engine.kernel.Vectors.LE;
import static org.moe4j.engine.kernel.Vectors.floats;
import static org.moe4j.engine.kernel.Vectors.half;
import static org.moe4j.engine.kernel.Vectors.mayFault;
import static org.moe4j.engine.kernel.Vectors.put;
import static org.moe4j.engine.kernel.Vectors.scale;
import static org.moe4j.engine.kernel.Vectors.shorts;
import static org.moe4j.engine.kernel.Vectors.signedBytes;

import java.lang.foreign.ValueLayout;
import jdk.incubator.vector.FloatVector;

/**
 * Unpackers of numbers that are whole: floats of 32 or 16 bits, in rows of any length, and Q8_0.
 */
final class PlainBlocks {
  private static final ValueLayout.OfFloat FLOAT = ValueLayout.JAVA_FLOAT_UNALIGNED;
  private static final ValueLayout.OfShort SHORT = ValueLayout.JAVA_SHORT_UNALIGNED;

  private PlainBlocks() {}

  static void f32(long from, int count, long to) {
    mayFault();
    int whole = count & -L;
    for (int c = 0; c < whole; c += L) {
      put(FloatVector.fromMemorySegment(F, ALL, from + c * 4L, LE), to + 4L * c);
    }
    for (int c = whole; c < count; c++) {
      ALL.set(FLOAT, to + 4L * c, ALL.get(FLOAT, from + c * 4L));
    }
  }

  static void f16(long from, int count, long to) {
    int whole = count & -L;
    for (int c = 0; c < whole; c += L) {
      put(half(shorts(from + c * 2L)), to + 4L * c);
    }
    for (int c = whole; c < count; c++) {
      ALL.set(FLOAT, to + 4L * c, Float.float16ToFloat(ALL.get(SHORT, from + c * 2L)));
    }
  }

  static void bf16(long from, int count, long to) {
    int whole = count & -L;
    for (int c = 0; c < whole; c += L) {
      put(shorts(from + c * 2L).lanewise(LSHL, 16).reinterpretAsFloats(), to + 4L * c);
    }
    for (int c = whole; c < count; c++) {
      ALL.set(FLOAT, to + 4L * c, Float.intBitsToFloat(ALL.get(SHORT, from + c * 2L) << 16));
    }
  }

  /** Blocks of 32 with a half-precision scale. */
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
}

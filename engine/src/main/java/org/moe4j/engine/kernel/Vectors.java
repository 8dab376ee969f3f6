package org.moe4j.engine.kernel;

import static jdk.incubator.vector.VectorOperators.ASHR;
import static jdk.incubator.vector.VectorOperators.LSHL;

import java.lang.foreign.MemorySegment;
import java.nio.ByteOrder;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorShape;
import jdk.incubator.vector.VectorSpecies;

/** What the loops on vectors share. */
final class Vectors {
  static final ByteOrder LE = ByteOrder.LITTLE_ENDIAN;
  static final VectorSpecies<Integer> I =
      VectorSpecies.of(int.class, VectorShape.forBitSize(KernelChoice.bits()));
  static final VectorSpecies<Short> S = I.withLanes(short.class);
  static final VectorSpecies<Float> F = I.withLanes(float.class);

  /** Lanes of 32 bits. */
  static final int L = I.length();

  /**
   * All of memory: with bounds and lifetime that the compiler knows, a load is one instruction, and
   * methods stay below the size from which on it no longer inlines. Whoever passes an address keeps
   * what lies there until no thread multiplies any more.
   */
  static final MemorySegment ALL = MemorySegment.NULL.reinterpret(Long.MAX_VALUE);

  private static final float TWO_112 = 0x1p112f;
  private static final int HALF_BITS = 0x8fffe000;

  private Vectors() {}

  static void addProducts(FloatVector products, FloatVector scale, float[] sums, int at) {
    products.fma(scale, FloatVector.fromArray(F, sums, at)).intoArray(sums, at);
  }

  /**
   * The half-precision numbers in the low 16 bits as floats: sign and digits in their places, the
   * exponent's bias then made up for by a power of two.
   */
  static FloatVector lowHalf(IntVector both) {
    return both.lanewise(LSHL, 16)
        .lanewise(ASHR, 3)
        .and(HALF_BITS)
        .reinterpretAsFloats()
        .mul(TWO_112);
  }

  static FloatVector highHalf(IntVector both) {
    return both.lanewise(ASHR, 3).and(HALF_BITS).reinterpretAsFloats().mul(TWO_112);
  }

  static FloatVector floats(IntVector codes) {
    return (FloatVector) codes.convert(VectorOperators.I2F, 0);
  }

  static void unpackScales(long block, float[] to, int at) {
    for (int lane = 0; lane < 16; lane += L) {
      IntVector both = IntVector.fromMemorySegment(I, ALL, block + lane * 4L, LE);
      lowHalf(both).intoArray(to, at + lane);
      highHalf(both).intoArray(to, at + 16 + lane);
    }
  }
}

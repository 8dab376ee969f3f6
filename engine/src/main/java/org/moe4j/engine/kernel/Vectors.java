package org.moe4j.engine.kernel;

import static jdk.incubator.vector.VectorOperators.ASHR;
import static jdk.incubator.vector.VectorOperators.LSHL;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import jdk.incubator.vector.ByteVector;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.ShortVector;
import jdk.incubator.vector.VectorMask;
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

  /** L bytes, or 8 where L is 4. */
  private static final VectorSpecies<Byte> B =
      VectorSpecies.of(byte.class, VectorShape.forBitSize(Math.max(64, L * 8)));

  /** L shorts. */
  private static final VectorSpecies<Short> H =
      VectorSpecies.of(short.class, VectorShape.forBitSize(L * 16));

  private static final MemorySegment ONE_BYTE = MemorySegment.ofArray(new byte[1]);

  private static final IntVector QUAD =
      IntVector.zero(I).sub(IntVector.zero(I).addIndex(8)).add(24);

  private static final float TWO_112 = 0x1p112f;
  private static final int HALF_BITS = 0x8fffe000;
  private static final int EXPONENT = 0x0f800000;

  private Vectors() {}

  /**
   * Belongs into every method that reads weights as vectors, since they may lie in a mapped file
   * that has become shorter. HotSpot makes an {@link InternalError} of such a fault only in
   * compiled code that somewhere reads a single number through a segment; vectors do not count, and
   * the process would end. This read is compiled to nothing.
   */
  static void mayFault() {
    ONE_BYTE.get(ValueLayout.JAVA_BYTE, 0);
  }

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

  /** L bytes as ints. */
  static IntVector signedBytes(long at) {
    if (L == 4) {
      return quad(at).lanewise(ASHR, 24);
    }
    mayFault();
    return (IntVector)
        ByteVector.fromMemorySegment(B, ALL, at, LE).convertShape(VectorOperators.B2I, I, 0);
  }

  /** Four bytes, each in the high end of a lane: no vector is as short as they are. */
  private static IntVector quad(long at) {
    return IntVector.broadcast(I, bits(at)).lanewise(LSHL, QUAD);
  }

  /** L 16-bit numbers as ints. */
  static IntVector shorts(long at) {
    mayFault();
    return (IntVector)
        ShortVector.fromMemorySegment(H, ALL, at, LE).convertShape(VectorOperators.S2I, I, 0);
  }

  /** Half-precision numbers in the low 16 bits as floats, infinities and NaN among them. */
  static FloatVector half(IntVector bits) {
    IntVector placed = bits.lanewise(LSHL, 13).and(HALF_BITS);
    IntVector finite = placed.reinterpretAsFloats().mul(TWO_112).reinterpretAsInts();
    VectorMask<Integer> beyond = placed.and(EXPONENT).compare(VectorOperators.EQ, EXPONENT);
    return finite.lanewise(VectorOperators.OR, 0x7f800000, beyond).reinterpretAsFloats();
  }

  static void put(FloatVector v, long at) {
    v.intoMemorySegment(ALL, at, LE);
  }

  /** A half-precision number. */
  static float scale(long at) {
    return Float.float16ToFloat(ALL.get(ValueLayout.JAVA_SHORT_UNALIGNED, at));
  }

  /** 32 bits. */
  static int bits(long at) {
    return ALL.get(ValueLayout.JAVA_INT_UNALIGNED, at);
  }

  /** A byte, 0 to 255. */
  static int unsigned(long at) {
    return ALL.get(ValueLayout.JAVA_BYTE, at) & 0xff;
  }

  static void unpackScales(long block, float[] to, int at) {
    for (int lane = 0; lane < 16; lane += L) {
      IntVector both = IntVector.fromMemorySegment(I, ALL, block + lane * 4L, LE);
      lowHalf(both).intoArray(to, at + lane);
      highHalf(both).intoArray(to, at + 16 + lane);
    }
  }
}

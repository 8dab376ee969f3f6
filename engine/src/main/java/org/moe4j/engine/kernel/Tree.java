package org.moe4j.engine.kernel;

import static org.moe4j.engine.kernel.Vectors.F;
import static org.moe4j.engine.kernel.Vectors.I;
import static org.moe4j.engine.kernel.Vectors.L;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorMask;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorShuffle;

/**
 * Totals of 16 partial sums, in one order everywhere: partials 8 apart are added first, then those
 * 4, 2 and 1 apart. On vectors several totals are made at once, as each addition frees half of a
 * vector for those of another.
 */
final class Tree {
  private static final VectorMask<Float> HIGH8 = lanes(8);
  private static final VectorMask<Float> HIGH4 = lanes(4);
  private static final VectorMask<Float> HIGH2 = lanes(2);
  private static final VectorMask<Float> HIGH1 = lanes(1);
  private static final VectorShuffle<Float> SWAP8 = VectorShuffle.fromOp(F, i -> (i ^ 8) % L);
  private static final VectorShuffle<Float> SWAP4 = VectorShuffle.fromOp(F, i -> (i ^ 4) % L);
  private static final VectorShuffle<Float> SWAP2 = VectorShuffle.fromOp(F, i -> i ^ 2);
  private static final VectorShuffle<Float> SWAP1 = VectorShuffle.fromOp(F, i -> i ^ 1);

  private Tree() {}

  private static VectorMask<Float> lanes(int bit) {
    return IntVector.zero(I).addIndex(1).and(bit).compare(VectorOperators.NE, 0).cast(F);
  }

  /**
   * The totals of 16 times 16 numbers.
   *
   * @param sums the numbers from index {@code at}; they are lost
   * @param to receives 16 totals from index {@code place}
   */
  static void totals(float[] sums, int at, float[] to, int place) {
    if (L == 16) {
      eight(sums, at);
    } else {
      fold(sums, at);
    }
    for (int i = 0; i < 16; i += L) {
      int first = at + 16 * i;
      if (L > 4) {
        four(sums, first);
      }
      last(sums, first);
      FloatVector.fromArray(F, sums, first).intoArray(to, place + i);
    }
  }

  /** Vectors k and k + 8 into vector k. */
  private static void eight(float[] sums, int at) {
    for (int i = at; i < at + 128; i += 16) {
      add(sums, i, i + 128, HIGH8, SWAP8);
    }
  }

  private static void four(float[] sums, int at) {
    for (int i = at; i < at + 64; i += 16) {
      add(sums, i, i + 64, HIGH4, SWAP4);
    }
  }

  private static void last(float[] sums, int at) {
    add(sums, at, at + 32, HIGH2, SWAP2);
    add(sums, at + 16, at + 48, HIGH2, SWAP2);
    add(sums, at, at + 16, HIGH1, SWAP1);
  }

  /** Each sum in half of a vector, or a quarter. */
  private static void fold(float[] sums, int at) {
    for (int i = at; i < at + 256; i += 16) {
      for (int apart = 8; apart >= L; apart /= 2) {
        for (int j = 0; j < apart; j += L) {
          FloatVector a = FloatVector.fromArray(F, sums, i + j);
          a.add(FloatVector.fromArray(F, sums, i + j + apart)).intoArray(sums, i + j);
        }
      }
    }
  }

  private static void add(
      float[] sums, int at, int other, VectorMask<Float> high, VectorShuffle<Float> swap) {
    FloatVector a = FloatVector.fromArray(F, sums, at);
    FloatVector b = FloatVector.fromArray(F, sums, other);
    a.blend(b, high).add(b.blend(a, high).rearrange(swap)).intoArray(sums, at);
  }
}

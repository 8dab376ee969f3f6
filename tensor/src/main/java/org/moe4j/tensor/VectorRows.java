package org.moe4j.tensor;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorSpecies;

/**
 * Products of few rows with a matrix in F32 or BF16 in vector instructions of the JVM, at nearly
 * the speed of memory; sums are F32. The library's own take about twice as long (BF16, one row: 19
 * of 50 GB/s), since they are made for many rows.
 *
 * <p>Only where the module {@code jdk.incubator.vector} was added to the JVM ({@link Products}
 * asks). A row of the matrix is read in one piece by a loop small enough to stay free of objects.
 */
final class VectorRows {
  private static final VectorSpecies<Float> FLOATS = FloatVector.SPECIES_PREFERRED;
  private static final VectorSpecies<Integer> INTS = IntVector.SPECIES_PREFERRED;
  private static final ByteOrder ORDER = ByteOrder.LITTLE_ENDIAN;
  private static final int LANES = FLOATS.length();
  private static final int HIGH = 0xffff0000;

  private VectorRows() {}

  /** Up to how many rows this is faster than the library; 0 for types that it does not compute. */
  static int most(DType type) {
    return switch (type) {
      case F32 -> 8;
      case BF16 -> 3;
      default -> 0;
    };
  }

  /** Writes {@code x w^T} into {@code out}, [m,o] from contiguous rows [m,n] and matrix [o,n]. */
  static void into(Tensor out, Tensor x, Tensor w) {
    int m = Math.toIntExact(x.size(0));
    int n = Math.toIntExact(x.size(1));
    MemorySegment[] results = new MemorySegment[m];
    MemorySegment[] inputs = new MemorySegment[m];
    for (int i = 0; i < m; i++) {
      results[i] = out.select(0, i).segment();
      inputs[i] = x.select(0, i).segment();
    }
    if (w.dtype() == DType.F32) {
      floats(results, inputs, w.segment(), w.size(0), n);
    } else {
      halves(results, inputs, w.segment(), w.size(0), n);
    }
  }

  private static void floats(
      MemorySegment[] out, MemorySegment[] in, MemorySegment w, long rows, int n) {
    float[][] x = new float[in.length][];
    for (int i = 0; i < x.length; i++) {
      x[i] = in[i].toArray(ValueLayout.JAVA_FLOAT);
    }
    for (long row = 0; row < rows; row++) {
      for (int i = 0; i < x.length; i++) {
        out[i].setAtIndex(ValueLayout.JAVA_FLOAT, row, dot(w, row * n * Float.BYTES, x[i]));
      }
    }
  }

  private static float dot(MemorySegment w, long at, float[] x) {
    FloatVector a = FloatVector.zero(FLOATS);
    FloatVector b = FloatVector.zero(FLOATS);
    FloatVector c = FloatVector.zero(FLOATS);
    FloatVector d = FloatVector.zero(FLOATS);
    int i = 0;
    for (; i <= x.length - 4 * LANES; i += 4 * LANES) {
      a = floats(w, at, i).fma(FloatVector.fromArray(FLOATS, x, i), a);
      b = floats(w, at, i + LANES).fma(FloatVector.fromArray(FLOATS, x, i + LANES), b);
      c = floats(w, at, i + 2 * LANES).fma(FloatVector.fromArray(FLOATS, x, i + 2 * LANES), c);
      d = floats(w, at, i + 3 * LANES).fma(FloatVector.fromArray(FLOATS, x, i + 3 * LANES), d);
    }
    float sum = a.add(b).add(c.add(d)).reduceLanes(VectorOperators.ADD);
    for (; i < x.length; i++) {
      sum += w.get(ValueLayout.JAVA_FLOAT_UNALIGNED, at + (long) i * Float.BYTES) * x[i];
    }
    return sum;
  }

  private static FloatVector floats(MemorySegment w, long at, int i) {
    return FloatVector.fromMemorySegment(FLOATS, w, at + (long) i * Float.BYTES, ORDER);
  }

  private static void halves(
      MemorySegment[] out, MemorySegment[] in, MemorySegment w, long rows, int n) {
    float[][] even = new float[in.length][(n + 1) / 2];
    float[][] odd = new float[in.length][n / 2];
    for (int i = 0; i < in.length; i++) {
      for (int j = 0; j < n; j++) {
        (j % 2 == 0 ? even : odd)[i][j / 2] =
            SmallFloats.ofBf16(in[i].getAtIndex(ValueLayout.JAVA_SHORT, j));
      }
    }
    for (long row = 0; row < rows; row++) {
      for (int i = 0; i < in.length; i++) {
        float sum = dot(w, row * n * Short.BYTES, n, even[i], odd[i]);
        out[i].setAtIndex(ValueLayout.JAVA_SHORT, row, SmallFloats.bf16(sum));
      }
    }
  }

  /** Two BF16 of the matrix are read as one int: the first is its low half, the second its high. */
  private static float dot(MemorySegment w, long at, int n, float[] even, float[] odd) {
    FloatVector a = FloatVector.zero(FLOATS);
    FloatVector b = FloatVector.zero(FLOATS);
    FloatVector c = FloatVector.zero(FLOATS);
    FloatVector d = FloatVector.zero(FLOATS);
    int i = 0;
    for (; i <= odd.length - 2 * LANES; i += 2 * LANES) {
      IntVector p = pairs(w, at, i);
      IntVector q = pairs(w, at, i + LANES);
      a = low(p).fma(FloatVector.fromArray(FLOATS, even, i), a);
      b = high(p).fma(FloatVector.fromArray(FLOATS, odd, i), b);
      c = low(q).fma(FloatVector.fromArray(FLOATS, even, i + LANES), c);
      d = high(q).fma(FloatVector.fromArray(FLOATS, odd, i + LANES), d);
    }
    float sum = a.add(b).add(c.add(d)).reduceLanes(VectorOperators.ADD);
    for (int j = 2 * i; j < n; j++) {
      float v =
          SmallFloats.ofBf16(w.get(ValueLayout.JAVA_SHORT_UNALIGNED, at + (long) j * Short.BYTES));
      sum += v * (j % 2 == 0 ? even : odd)[j / 2];
    }
    return sum;
  }

  private static IntVector pairs(MemorySegment w, long at, int i) {
    return IntVector.fromMemorySegment(INTS, w, at + (long) i * Integer.BYTES, ORDER);
  }

  private static FloatVector low(IntVector pairs) {
    return pairs.lanewise(VectorOperators.LSHL, Short.SIZE).reinterpretAsFloats();
  }

  private static FloatVector high(IntVector pairs) {
    return pairs.and(HIGH).reinterpretAsFloats();
  }
}

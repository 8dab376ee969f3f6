package org.moe4j.tensor;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorSpecies;

/**
 * Products of few rows with a matrix in F32 or BF16 in vector instructions of the JVM, at the speed
 * of memory; sums are F32. The library's own are made for many rows: in BF16 one row takes it twice
 * as long.
 *
 * <p>Only where the module {@code jdk.incubator.vector} was added to the JVM ({@link Products}
 * asks). The loops are two small methods, each from matrix rows to their sums: so C2 keeps vectors
 * in registers and checks bounds once. It does not when a sum leaves the loop's method as a vector,
 * or when a bound is computed there.
 */
final class VectorRows {
  private static final VectorSpecies<Float> FLOATS = FloatVector.SPECIES_PREFERRED;
  private static final VectorSpecies<Integer> INTS = IntVector.SPECIES_PREFERRED;
  private static final ByteOrder ORDER = ByteOrder.LITTLE_ENDIAN;
  private static final int LANES = FLOATS.length();
  private static final int HIGH = 0xffff0000;

  /** Rows of the matrix that are read from memory once for all rows of x. */
  private static final int BAND = 16;

  private VectorRows() {}

  /** Up to so many rows this is faster than the library; 0 for types that it does not compute. */
  static int most(DType type) {
    return switch (type) {
      case F32 -> 8;
      case BF16 -> 4;
      default -> 0;
    };
  }

  /** Writes {@code x w^T} into {@code out}: [m,o] from [m,n] and [o,n], all with whole rows. */
  static void into(Tensor out, Tensor x, Tensor w) {
    int m = Math.toIntExact(x.size(0));
    int n = Math.toIntExact(x.size(1));
    boolean wide = w.dtype() == DType.F32;
    Vector[] vectors = new Vector[m];
    MemorySegment[] results = new MemorySegment[m];
    for (int i = 0; i < m; i++) {
      MemorySegment own = x.select(0, i).segment();
      vectors[i] = wide ? Floats.of(own) : Pairs.of(own, n);
      results[i] = out.select(0, i).segment();
    }
    MemorySegment matrix = w.segment();
    float[] sums = new float[BAND];
    for (long top = 0; top < w.size(0); top += BAND) {
      int rows = (int) Math.min(BAND, w.size(0) - top);
      for (int i = 0; i < m; i++) {
        vectors[i].dots(matrix, top, rows, sums);
        for (int r = 0; r < rows; r++) {
          if (wide) {
            results[i].setAtIndex(ValueLayout.JAVA_FLOAT, top + r, sums[r]);
          } else {
            results[i].setAtIndex(ValueLayout.JAVA_SHORT, top + r, SmallFloats.bf16(sums[r]));
          }
        }
      }
    }
  }

  /** A row of x, ready to be multiplied with rows of a matrix of its type. */
  private sealed interface Vector {
    /** Its products with rows {@code top .. top+rows-1} of w. */
    void dots(MemorySegment w, long top, int rows, float[] sums);
  }

  /** Of type F32. */
  @SuppressWarnings("ArrayRecordComponent") // never compared
  private record Floats(float[] x) implements Vector {
    static Floats of(MemorySegment x) {
      return new Floats(x.toArray(ValueLayout.JAVA_FLOAT));
    }

    @Override
    public void dots(MemorySegment w, long top, int rows, float[] sums) {
      int whole = x.length - x.length % (4 * LANES);
      long from = top * x.length * Float.BYTES;
      dots(w, from, rows, x.length, whole, x, sums);
      for (int r = 0; r < rows && whole < x.length; r++) {
        long at = from + (long) r * x.length * Float.BYTES;
        for (int j = whole; j < x.length; j++) {
          sums[r] += w.get(ValueLayout.JAVA_FLOAT_UNALIGNED, at + (long) j * Float.BYTES) * x[j];
        }
      }
    }

    private static void dots(
        MemorySegment w, long from, int rows, int n, int whole, float[] x, float[] sums) {
      for (int r = 0; r < rows; r++) {
        long at = from + (long) r * n * Float.BYTES;
        FloatVector a = FloatVector.zero(FLOATS);
        FloatVector b = FloatVector.zero(FLOATS);
        FloatVector c = FloatVector.zero(FLOATS);
        FloatVector d = FloatVector.zero(FLOATS);
        for (int i = 0; i < whole; i += 4 * LANES) {
          a = floats(w, at, i).fma(FloatVector.fromArray(FLOATS, x, i), a);
          b = floats(w, at, i + LANES).fma(FloatVector.fromArray(FLOATS, x, i + LANES), b);
          c = floats(w, at, i + 2 * LANES).fma(FloatVector.fromArray(FLOATS, x, i + 2 * LANES), c);
          d = floats(w, at, i + 3 * LANES).fma(FloatVector.fromArray(FLOATS, x, i + 3 * LANES), d);
        }
        sums[r] = a.add(b).add(c.add(d)).reduceLanes(VectorOperators.ADD);
      }
    }
  }

  /**
   * Of type BF16, of which two in the matrix are read as one int: its low half is the first, its
   * high half the second. Here the first and the second of all pairs lie apart.
   */
  @SuppressWarnings("ArrayRecordComponent") // never compared
  private record Pairs(int n, float[] even, float[] odd) implements Vector {
    static Pairs of(MemorySegment x, int n) {
      Pairs p = new Pairs(n, new float[(n + 1) / 2], new float[n / 2]);
      for (int j = 0; j < n; j++) {
        p.half(j)[j / 2] = SmallFloats.ofBf16(x.getAtIndex(ValueLayout.JAVA_SHORT, j));
      }
      return p;
    }

    private float[] half(int j) {
      return j % 2 == 0 ? even : odd;
    }

    @Override
    public void dots(MemorySegment w, long top, int rows, float[] sums) {
      int whole = odd.length - odd.length % (2 * LANES);
      long from = top * n * Short.BYTES;
      dots(w, from, rows, n, whole, even, odd, sums);
      for (int r = 0; r < rows && 2 * whole < n; r++) {
        long at = from + (long) r * n * Short.BYTES;
        for (int j = 2 * whole; j < n; j++) {
          short code = w.get(ValueLayout.JAVA_SHORT_UNALIGNED, at + (long) j * Short.BYTES);
          sums[r] += SmallFloats.ofBf16(code) * half(j)[j / 2];
        }
      }
    }

    private static void dots(
        MemorySegment w,
        long from,
        int rows,
        int n,
        int whole,
        float[] even,
        float[] odd,
        float[] sums) {
      for (int r = 0; r < rows; r++) {
        long at = from + (long) r * n * Short.BYTES;
        FloatVector a = FloatVector.zero(FLOATS);
        FloatVector b = FloatVector.zero(FLOATS);
        FloatVector c = FloatVector.zero(FLOATS);
        FloatVector d = FloatVector.zero(FLOATS);
        for (int i = 0; i < whole; i += 2 * LANES) {
          IntVector p = pairs(w, at, i);
          IntVector q = pairs(w, at, i + LANES);
          a = low(p).fma(FloatVector.fromArray(FLOATS, even, i), a);
          b = high(p).fma(FloatVector.fromArray(FLOATS, odd, i), b);
          c = low(q).fma(FloatVector.fromArray(FLOATS, even, i + LANES), c);
          d = high(q).fma(FloatVector.fromArray(FLOATS, odd, i + LANES), d);
        }
        sums[r] = a.add(b).add(c.add(d)).reduceLanes(VectorOperators.ADD);
      }
    }
  }

  private static FloatVector floats(MemorySegment w, long at, int i) {
    return FloatVector.fromMemorySegment(FLOATS, w, at + (long) i * Float.BYTES, ORDER);
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

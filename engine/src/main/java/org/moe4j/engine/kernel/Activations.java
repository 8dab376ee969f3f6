package org.moe4j.engine.kernel;

import java.util.Arrays;
import java.util.Optional;

/**
 * The rows that matrices are multiplied with: as floats and, for matrices that want it, in blocks
 * of 32 as 8-bit numbers with a scale each.
 *
 * <p>Scales are rounded to half precision, as in Q8_0 blocks, so that products agree with those of
 * programs that store them so. The 8-bit numbers lie as {@link #factors} for {@link Q4Matrix}.
 */
public final class Activations {
  /** Numbers that share a scale. */
  static final int BLOCK = 32;

  private final int columns;
  private final int stride;
  private float[] values = {};
  private int[] factors = {};
  private float[] scales = {};
  private int[] offsets = {};
  private final Optional<ByteRows> bytes;

  /** Rows of {@code columns} numbers; none yet. */
  public Activations(int columns) {
    this.columns = columns;
    this.stride = Math.ceilDiv(columns, BLOCK) * BLOCK;
    this.bytes = MachineChoice.wanted().map(kernels -> new ByteRows(kernels, stride));
  }

  /** Makes room for {@code rows} rows. What was there is lost. */
  public void reserve(int rows) {
    int wanted = Math.multiplyExact(rows, stride);
    if (values.length < wanted) {
      values = new float[wanted];
      factors = new int[wanted];
      scales = new float[wanted / BLOCK];
      offsets = new int[wanted / BLOCK];
    }
    bytes.ifPresent(b -> b.reserve(rows));
  }

  /** Numbers of a row. */
  public int columns() {
    return columns;
  }

  /** The floats; row {@code r} begins at {@link #at}. */
  public float[] values() {
    return values;
  }

  /** Where row {@code r} begins in {@link #values}. */
  public int at(int r) {
    return r * stride;
  }

  /** The 8-bit numbers as machine code takes them, if it does; then they are nowhere else. */
  ByteRows bytes() {
    return bytes.orElseThrow();
  }

  int blocks() {
    return stride / BLOCK;
  }

  /**
   * For each block of 4-bit codes, four to a 16-bit number q, in the order in which q holds their
   * columns: what q, q &gt;&gt;&gt; 4, q &gt;&gt;&gt; 8 and q &gt;&gt;&gt; 12 are to be multiplied
   * with. That is the column's number less 16 times the one before it in q: what the shifted q
   * holds above the column's code is then made up for, modulo 2^16, and needs no mask. Each is
   * twice in an int.
   */
  int[] factors() {
    return factors;
  }

  int factorsAt(int r) {
    return r * stride;
  }

  float[] scales() {
    return scales;
  }

  /** For each block minus 8 times the sum of its numbers, twice in 16 bits. */
  int[] offsets() {
    return offsets;
  }

  int blocksAt(int r) {
    return r * stride / BLOCK;
  }

  /** Rounds row {@code r} to 8 bits; call it after its floats are set and before it is used. */
  public void quantise(int r) {
    quantise(r, 0, columns);
  }

  /**
   * The same for {@code count} numbers of it: whole blocks of 32, or up to its end.
   *
   * @param from a multiple of 32
   */
  public void quantise(int r, int from, int count) {
    int end = Math.ceilDiv(from + count, BLOCK) * BLOCK;
    Arrays.fill(values, at(r) + from + count, at(r) + end, 0f);
    if (bytes.isPresent()) {
      bytes.get().quantise(values, at(r), r, from, end);
      return;
    }
    for (int b = from / BLOCK; b < end / BLOCK; b++) {
      block(at(r) + b * BLOCK, blocksAt(r) + b);
    }
  }

  private void block(int from, int block) {
    float most = 0;
    for (int i = 0; i < BLOCK; i++) {
      most = Math.max(most, Math.abs(values[from + i]));
    }
    float scale = most / 127;
    float inverse = most == 0 ? 0 : 127 / most;
    scales[block] = Float.float16ToFloat(Float.floatToFloat16(scale));
    int sum = 0;
    for (int v = 0; v < BLOCK; v += 4) {
      int before = 0;
      for (int j = 0; j < 4; j++) {
        int c = from + Q4Matrix.column(v + j);
        int a = round(values[c] * inverse);
        factors[from + v + j] = twice(a - 16 * before);
        before = a;
        sum += a;
      }
    }
    offsets[block] = twice(-8 * sum);
  }

  private static int twice(int a) {
    return (a & 0xffff) | (a << 16);
  }

  /** To the nearest, ties to even; the sum lies where floats have no fraction left. */
  private static int round(float x) {
    return Float.floatToRawIntBits(x + 12582912f) - 0x4b400000;
  }
}

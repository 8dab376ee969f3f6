package org.moe4j.engine.kernel;

import java.util.Arrays;

/**
 * The rows that matrices are multiplied with: as floats and, for matrices that want it, in blocks
 * of 32 as 8-bit numbers with a scale each.
 *
 * <p>Scales are rounded to half precision, as in Q8_0 blocks, so that products agree with those of
 * programs that store them so. The 8-bit numbers lie as pairs in an int (16 bits each), in the
 * order in which {@link Q4Matrix} unpacks its columns: pair {@code 4 v + j} of a block is columns
 * {@code (4 v + c, 4 v + c + 2)}, c = 0, 16, 1, 17 for j = 0, 1, 2, 3.
 */
public final class Activations {
  /** Numbers that share a scale. */
  static final int BLOCK = 32;

  private static final int PAIRS = BLOCK / 2;

  private final int columns;
  private final int stride;
  private float[] values = {};
  private int[] pairs = {};
  private float[] scales = {};
  private int[] offsets = {};
  private final ByteRows bytes;

  /** Rows of {@code columns} numbers; none yet. */
  public Activations(int columns) {
    this.columns = columns;
    this.stride = Math.ceilDiv(columns, BLOCK) * BLOCK;
    this.bytes = new ByteRows(stride);
  }

  /** Makes room for {@code rows} rows. What was there is lost. */
  public void reserve(int rows) {
    int wanted = Math.multiplyExact(rows, stride);
    if (values.length < wanted) {
      values = new float[wanted];
      pairs = new int[wanted / 2];
      scales = new float[wanted / BLOCK];
      offsets = new int[wanted / BLOCK];
    }
    if (MachineChoice.loaded().isPresent()) {
      bytes.reserve(rows);
    }
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

  /** The 8-bit numbers as machine code takes them; empty if none does. */
  ByteRows bytes() {
    return bytes;
  }

  int blocks() {
    return stride / BLOCK;
  }

  int[] pairs() {
    return pairs;
  }

  int pairsAt(int r) {
    return r * stride / 2;
  }

  float[] scales() {
    return scales;
  }

  /** For each block minus 8 times the sum of the pairs' halves, each in 16 bits. */
  int[] offsets() {
    return offsets;
  }

  int blocksAt(int r) {
    return r * stride / BLOCK;
  }

  /** Rounds row {@code r} to 8 bits; call it after its floats are set and before it is used. */
  public void quantise(int r) {
    Arrays.fill(values, at(r) + columns, at(r) + stride, 0f);
    if (bytes.holds(r)) {
      MachineChoice.loaded().ifPresent(kernels -> bytes.quantise(kernels, values, at(r), r));
    }
    for (int b = 0; b < blocks(); b++) {
      block(at(r) + b * BLOCK, pairsAt(r) + b * PAIRS, blocksAt(r) + b);
    }
  }

  private void block(int from, int to, int block) {
    float most = 0;
    for (int i = 0; i < BLOCK; i++) {
      most = Math.max(most, Math.abs(values[from + i]));
    }
    float scale = most / 127;
    float inverse = most == 0 ? 0 : 127 / most;
    scales[block] = Float.float16ToFloat(Float.floatToFloat16(scale));
    int low = 0;
    int high = 0;
    for (int v = 0; v < 4; v++) {
      for (int j = 0; j < 4; j++) {
        int c = from + 4 * v + (j >> 1) + ((j & 1) << 4);
        int a = round(values[c] * inverse);
        int b = round(values[c + 2] * inverse);
        pairs[to + 4 * v + j] = (a & 0xffff) | (b << 16);
        low += a;
        high += b;
      }
    }
    offsets[block] = ((-8 * low) & 0xffff) | ((-8 * high) << 16);
  }

  /** To the nearest, ties to even; the sum lies where floats have no fraction left. */
  private static int round(float x) {
    return Float.floatToRawIntBits(x + 12582912f) - 0x4b400000;
  }
}

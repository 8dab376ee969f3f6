package org.moe4j.engine.kernel;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * Keys and values in 8 bits, each divided by the scale of its position. Keys by dimension: 16 ints,
 * byte k of number i with position i + 16 k. Values by position: {@code quarter} ints, byte k of
 * number i with dimension i + k {@code quarter}. Behind both the scales of all keys, then of all
 * values, as floats.
 */
record ByteHeads(int keySize, int valueSize) implements CachedHeads {
  private static final ValueLayout.OfByte BYTE = ValueLayout.JAVA_BYTE;
  private static final ValueLayout.OfFloat FLOAT = ValueLayout.JAVA_FLOAT_UNALIGNED;

  /** Ints of a value, in whole vectors of 16. */
  private int quarter() {
    return Math.ceilDiv(valueSize, 64) * 16;
  }

  @Override
  public long values() {
    return keySize * 64L;
  }

  private long scales() {
    return values() + 4L * PAGE * quarter();
  }

  @Override
  public long bytes() {
    return scales() + 8L * PAGE;
  }

  @Override
  public int room() {
    return 4 * quarter();
  }

  @Override
  public void store(
      MemorySegment page, long at, int position, float[] k, int kAt, float[] v, int vAt) {
    float scale = scale(k, kAt, keySize);
    float inverse = scale == 0 ? 0 : 1 / scale;
    page.set(FLOAT, at + scales() + position * 4L, scale);
    long key = at + position % 16 * 4L + position / 16;
    for (int d = 0; d < keySize; d++) {
      page.set(BYTE, key + d * 64L, code(k[kAt + d] * inverse));
    }
    scale = scale(v, vAt, valueSize);
    inverse = scale == 0 ? 0 : 1 / scale;
    page.set(FLOAT, at + scales() + (PAGE + position) * 4L, scale);
    int quarter = quarter();
    long value = at + values() + 4L * position * quarter;
    for (int d = 0; d < valueSize; d++) {
      page.set(BYTE, value + d % quarter * 4L + d / quarter, code(v[vAt + d] * inverse));
    }
  }

  /** Below the least normal number there is none whose inverse is finite. */
  private static float scale(float[] x, int at, int count) {
    float most = 0;
    for (int i = at; i < at + count; i++) {
      most = Math.max(most, Math.abs(x[i]));
    }
    return most < 127 * Float.MIN_NORMAL ? 0 : most / 127;
  }

  private static byte code(float x) {
    return (byte) Math.clamp(Math.round(x), -127, 127);
  }

  @Override
  public void scores(
      MemorySegment page,
      long at,
      float[] q,
      int rows,
      int count,
      float[] out,
      int to,
      int stride,
      long next) {
    fetch(rows, next);
    long scales = at + scales();
    KernelChoice.ATTENTION.byteScores(page, at, scales, keySize, q, rows, out, to, stride);
  }

  @Override
  public void values(
      MemorySegment page,
      long at,
      float[] w,
      int wAt,
      int wStride,
      int rows,
      int from,
      int to,
      float[] out,
      int outAt,
      long next) {
    fetch(rows, next);
    long first = at + values();
    long scales = at + scales() + PAGE * 4L;
    KernelChoice.ATTENTION.byteValues(
        page, first, scales, quarter(), w, wAt, wStride, rows, from, to, out, outAt);
  }

  /** Memory is faster in long runs: of one query, what is read comes before it is computed with. */
  private void fetch(int rows, long next) {
    if (rows == 1) {
      MachineChoice.fetch(next, values());
    }
  }
}

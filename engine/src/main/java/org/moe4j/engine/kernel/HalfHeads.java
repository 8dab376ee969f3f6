package org.moe4j.engine.kernel;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * Keys and values in half precision. Keys by dimension: 32 ints, number i with positions i (low 16
 * bits) and i + 32. Values by position: {@code half} ints, number i with dimensions i and i +
 * {@code half}.
 */
record HalfHeads(int keySize, int valueSize) implements CachedHeads {
  private static final ValueLayout.OfShort SHORT = ValueLayout.JAVA_SHORT_UNALIGNED;

  /** Ints of a value, in whole vectors of 16. */
  private int half() {
    return Math.ceilDiv(valueSize, 32) * 16;
  }

  private long values() {
    return keySize * 128L;
  }

  @Override
  public long bytes() {
    return values() + 4L * PAGE * half();
  }

  @Override
  public int room() {
    return 2 * half();
  }

  @Override
  public void store(
      MemorySegment page, long at, int position, float[] k, int kAt, float[] v, int vAt) {
    long key = at + position % 32 * 4L + position / 32 * 2L;
    for (int d = 0; d < keySize; d++) {
      page.set(SHORT, key + d * 128L, Float.floatToFloat16(k[kAt + d]));
    }
    int half = half();
    long value = at + values() + 4L * position * half;
    for (int d = 0; d < Math.min(half, valueSize); d++) {
      page.set(SHORT, value + d * 4L, Float.floatToFloat16(v[vAt + d]));
    }
    for (int d = half; d < valueSize; d++) {
      page.set(SHORT, value + (d - half) * 4L + 2, Float.floatToFloat16(v[vAt + d]));
    }
  }

  @Override
  public void scores(
      MemorySegment page, long at, float[] q, int rows, float[] out, int to, int stride) {
    KernelChoice.ATTENTION.halfScores(page, at, keySize, q, rows, out, to, stride);
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
      int outAt) {
    long first = at + values();
    KernelChoice.ATTENTION.halfValues(
        page, first, half(), w, wAt, wStride, rows, from, to, out, outAt);
  }
}

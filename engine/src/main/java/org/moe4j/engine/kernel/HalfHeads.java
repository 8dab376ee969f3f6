package org.moe4j.engine.kernel;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;

/**
 * Keys and values in half precision. Keys by dimension: a row of {@value #PAGE} positions for each.
 * Values by position: a row of dimensions for each, filled up to a multiple of 32.
 */
record HalfHeads(int keySize, int valueSize) implements CachedHeads {
  private static final ValueLayout.OfShort SHORT = ValueLayout.JAVA_SHORT_UNALIGNED;

  @Override
  public long values() {
    return 2L * PAGE * keySize;
  }

  @Override
  public long bytes() {
    return values() + 2L * PAGE * room();
  }

  @Override
  public int room() {
    return Math.ceilDiv(valueSize, 32) * 32;
  }

  @Override
  public void store(
      MemorySegment page, long at, int position, float[] k, int kAt, float[] v, int vAt) {
    long key = at + 2L * position;
    for (int d = 0; d < keySize; d++) {
      page.set(SHORT, key + 2L * PAGE * d, Float.floatToFloat16(k[kAt + d]));
    }
    long value = at + values() + 2L * position * room();
    for (int d = 0; d < valueSize; d++) {
      page.set(SHORT, value + 2L * d, Float.floatToFloat16(v[vAt + d]));
    }
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
    int columns = Math.ceilDiv(count, 32) * 32;
    for (int r = 0; r < rows; r++) {
      Arrays.fill(out, to + r * stride, to + r * stride + columns, 0f);
    }
    HalfRows.add(page, at, PAGE, columns, q, 0, keySize, rows, 0, keySize, out, to, stride, next);
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
    int room = room();
    HalfRows.add(
        page, at + values(), room, room, w, wAt, wStride, rows, from, to, out, outAt, room, next);
  }
}

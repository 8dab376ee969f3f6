package org.moe4j.engine.kernel;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * Keys in half precision whose first numbers are the values: latent vectors, each followed by its
 * rotated key. By position: a row of dimensions for each.
 *
 * @param size numbers of a key, a multiple of 32
 */
record LatentHeads(int size) implements CachedHeads {
  private static final ValueLayout.OfShort SHORT = ValueLayout.JAVA_SHORT_UNALIGNED;

  @Override
  public long bytes() {
    return 2L * PAGE * size;
  }

  @Override
  public long values() {
    return 0;
  }

  @Override
  public int room() {
    return size;
  }

  @Override
  public void store(
      MemorySegment page, long at, int position, float[] k, int kAt, float[] v, int vAt) {
    long key = at + 2L * position * size;
    for (int d = 0; d < size; d++) {
      page.set(SHORT, key + 2L * d, Float.floatToFloat16(k[kAt + d]));
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
    KernelChoice.ATTENTION.latentScores(page, at, size / 2, q, rows, out, to, stride);
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
    HalfRows.add(page, at, size, size, w, wAt, wStride, rows, from, to, out, outAt, size, next);
  }
}

package org.moe4j.engine.kernel;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * Keys in half precision whose first numbers are the values: latent vectors, each followed by its
 * rotated key. By position: {@code half} ints, number i with dimensions i and i + {@code half}.
 *
 * @param size numbers of a key, a multiple of 32
 */
record LatentHeads(int size) implements CachedHeads {
  private static final ValueLayout.OfShort SHORT = ValueLayout.JAVA_SHORT_UNALIGNED;

  private int half() {
    return size / 2;
  }

  @Override
  public long bytes() {
    return 2L * PAGE * size;
  }

  @Override
  public int room() {
    return size;
  }

  @Override
  public void store(
      MemorySegment page, long at, int position, float[] k, int kAt, float[] v, int vAt) {
    long key = at + 4L * position * half();
    for (int d = 0; d < size; d++) {
      page.set(SHORT, key + d % half() * 4L + d / half() * 2L, Float.floatToFloat16(k[kAt + d]));
    }
  }

  @Override
  public void scores(
      MemorySegment page, long at, float[] q, int rows, float[] out, int to, int stride) {
    KernelChoice.ATTENTION.latentScores(page, at, half(), q, rows, out, to, stride);
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
    KernelChoice.ATTENTION.halfValues(
        page, at, half(), w, wAt, wStride, rows, from, to, out, outAt);
  }
}

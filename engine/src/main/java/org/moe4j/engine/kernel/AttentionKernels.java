package org.moe4j.engine.kernel;

import java.lang.foreign.MemorySegment;

/** The inner loops of attention; every implementation and width gives the same bits. */
interface AttentionKernels {
  /** See {@link HalfRows#add}. */
  void addHalves(
      MemorySegment page,
      long first,
      int width,
      int columns,
      float[] w,
      int wAt,
      int wStride,
      int weights,
      int from,
      int to,
      float[] out,
      int outAt,
      int outStride);

  /**
   * See {@link CachedHeads#scores}, of {@link LatentHeads} of twice {@code half} numbers. Of each
   * product 16 sums over every sixteenth number are made, of each half of a key; those of the
   * second half are added to those of the first, then all as in {@link Tree}.
   */
  void latentScores(
      MemorySegment page, long at, int half, float[] q, int rows, float[] out, int to, int stride);

  /** See {@link CachedHeads#scores}, of {@link ByteHeads}: a product's scale comes last. */
  void byteScores(
      MemorySegment page,
      long at,
      long scales,
      int size,
      float[] q,
      int rows,
      float[] out,
      int to,
      int stride);

  /** See {@link CachedHeads#values}, of {@link ByteHeads}: a weight is first times its scale. */
  void byteValues(
      MemorySegment page,
      long at,
      long scales,
      int quarter,
      float[] w,
      int wAt,
      int wStride,
      int rows,
      int from,
      int to,
      float[] out,
      int outAt);

  /** See {@link Attention#most}. */
  float most(float[] x, int from, int to);

  /** e^(x scale - most) in place, for indices {@code from} to {@code to - 1}: multiples of 16. */
  void exponentials(float[] x, int from, int to, float scale, float most);

  /** Sums of the numbers whose index leaves the same rest by 16, into {@code sums}. */
  void lanes(float[] x, int from, int to, float[] sums);

  /** x = x a + y b, {@code count} numbers: a multiple of 16. */
  void merge(float[] x, int at, float a, float[] y, int yAt, float b, int count);

  /** See {@link Attention#swiglu}. */
  void swiglu(float[] gate, int at, float[] up, int upAt, int count);
}

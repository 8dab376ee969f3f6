package org.moe4j.engine.kernel;

import java.lang.foreign.MemorySegment;
import org.moe4j.engine.CacheType;

/**
 * How keys and values of one head are kept, {@value #PAGE} positions together, and what attention
 * does with them. Products run over dimensions in order and sums over positions in order, so their
 * bits depend neither on the width of vectors nor on how many queries share a pass.
 */
public sealed interface CachedHeads permits HalfHeads, ByteHeads, LatentHeads {
  /** Positions of a page. */
  int PAGE = 64;

  /** Heads of this type, of keys and values of so many numbers. */
  static CachedHeads of(CacheType type, int keySize, int valueSize) {
    return switch (type) {
      case F16 -> new HalfHeads(keySize, valueSize);
      case Q8 -> new ByteHeads(keySize, valueSize);
    };
  }

  /** The same where values are the first numbers of keys, kept once where that can be. */
  static CachedHeads latent(CacheType type, int keySize, int valueSize) {
    return type == CacheType.F16 && keySize % 32 == 0
        ? new LatentHeads(keySize)
        : of(type, keySize, valueSize);
  }

  /** Bytes of a page of one head, keys and values: a multiple of 64. */
  long bytes();

  /** Bytes from a head's keys to its values. */
  long values();

  /** Numbers that sums of values take: those of a value and room behind it. */
  int room();

  /** Keeps the key and the value of one position of the page at {@code at}. */
  void store(MemorySegment page, long at, int position, float[] k, int kAt, float[] v, int vAt);

  /**
   * Products of queries with keys of a page.
   *
   * @param q {@code rows} queries, one behind the other
   * @param count how many products are wanted; some up to {@value #PAGE} may be made beside them
   * @param out receives the products from {@code to} on, {@code stride} numbers further for each
   *     query
   * @param next address of what will be read next
   */
  void scores(
      MemorySegment page,
      long at,
      float[] q,
      int rows,
      int count,
      float[] out,
      int to,
      int stride,
      long next);

  /**
   * Adds the weighted values of positions {@code from} to {@code to - 1} of a page.
   *
   * @param w weight of position 0 at {@code wAt}, of the next row {@code wStride} numbers further
   * @param rows of weights
   * @param out sums of the first row from {@code outAt} on, of the next one {@link #room} further
   * @param next address of what will be read next
   */
  void values(
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
      long next);
}

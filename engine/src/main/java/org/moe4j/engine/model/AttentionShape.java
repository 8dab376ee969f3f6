package org.moe4j.engine.model;

import java.util.Optional;
import org.moe4j.engine.CacheType;
import org.moe4j.engine.kernel.CachedHeads;

/**
 * Sizes of attention.
 *
 * @param heads queries of a token
 * @param keyHeads keys of a token that are cached; 1 if they are latent
 * @param keySize numbers of a query and of a cached key
 * @param valueSize numbers of a cached value
 * @param scale what products of queries and keys are multiplied by
 * @param window how many positions the layers with a window see, their own among them
 * @param windowed whether every other layer has a window, beginning with the first
 * @param latent how keys and values are compressed, if they are
 */
public record AttentionShape(
    int heads,
    int keyHeads,
    int keySize,
    int valueSize,
    float scale,
    int window,
    boolean windowed,
    Optional<LatentShape> latent) {
  /**
   * Multi-head latent attention (DeepSeek-AI, 2024, section 2.1): a token's keys and values are
   * products with one vector of {@code rank} numbers, so that this vector and one rotated key are
   * all that is cached, and queries and results pass through those products instead.
   *
   * @param rank numbers of the vector
   * @param plain numbers of a head's query that are not rotated
   * @param rotated numbers that are
   * @param valueSize numbers of a head's result
   */
  public record LatentShape(int rank, int plain, int rotated, int valueSize) {
    /** Numbers of a head's query before it passes through the product. */
    int querySize() {
      return plain + rotated;
    }
  }

  /** How keys and values are cached. */
  CachedHeads cached(CacheType type) {
    return latent.isPresent()
        ? CachedHeads.latent(type, keySize, valueSize)
        : CachedHeads.of(type, keySize, valueSize);
  }

  /** Numbers of all keys of a token. */
  public int keyWidth() {
    return keyHeads * keySize;
  }

  /** Numbers of all values of a token. */
  public int valueWidth() {
    return keyHeads * valueSize;
  }

  /** Numbers that the output matrix takes. */
  int outputWidth() {
    return heads * latent.map(LatentShape::valueSize).orElse(valueSize);
  }

  /** The first position that one at {@code position} sees in a layer. */
  int first(int layer, int position) {
    return windowed && layer % 2 == 0 ? Math.max(0, position - window + 1) : 0;
  }
}

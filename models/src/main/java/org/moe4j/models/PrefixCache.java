package org.moe4j.models;

import java.util.Arrays;
import org.jspecify.annotations.Nullable;
import org.moe4j.tensor.Scope;
import org.moe4j.tensor.Tensor;

/**
 * The key/value cache of one sequence after another, as the turns of a conversation are: what the
 * next one begins with and the last one began with is not computed again.
 */
public final class PrefixCache implements AutoCloseable {
  private static final int SMALLEST = 1024;

  private final Decoder model;
  private @Nullable KvCache cache;

  /** An empty cache for {@code model}. */
  public PrefixCache(Decoder model) {
    this.model = model;
  }

  /**
   * Begins to read a sequence.
   *
   * @param ids it begins with; at least one of them is left to be read
   * @param capacity the most tokens it will have
   * @return how many of {@code ids} need not be read
   */
  int begin(int[] ids, int capacity) {
    KvCache held = cache;
    if (held != null && held.capacity() >= capacity) {
      // Where angles depend on the length of the text, what was read in a shorter one is no use.
      boolean reusable = !model.config().attention().rope().dependsOnLength();
      int common = reusable ? Math.min(common(held, ids), ids.length - 1) : 0;
      held.truncate(common);
      return common;
    }
    close();
    int most = model.config().maxPositions();
    int roomy = Math.max(SMALLEST, Integer.highestOneBit(Math.max(capacity - 1, 1)) << 1);
    cache = model.newCache(1, Math.max(capacity, Math.min(most, roomy)));
    return 0;
  }

  private static int common(KvCache held, int[] ids) {
    long[] before;
    try (Scope scope = Scope.open()) {
      before = held.length() == 0 ? new long[0] : held.ids().toLongs();
    }
    long[] now = Arrays.stream(ids).asLongStream().toArray();
    int mismatch = Arrays.mismatch(before, now);
    return mismatch < 0 ? ids.length : mismatch;
  }

  /** Reads on; the logits after the last token. */
  Tensor next(Tensor ids) {
    if (cache == null) {
      throw new IllegalStateException("no sequence was begun");
    }
    return model.decode(ids, cache);
  }

  /** The number of tokens held. */
  public int length() {
    return cache == null ? 0 : cache.length();
  }

  /** Forgets everything and frees the memory. */
  @Override
  public void close() {
    if (cache != null) {
      cache.close();
      cache = null;
    }
  }
}

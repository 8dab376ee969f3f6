package org.moe4j.engine;

import java.lang.ref.Cleaner;
import org.moe4j.engine.cache.Cache;

/**
 * A text in the making: its tokens so far with their keys and values. Made by {@link Engine}; not
 * for several threads at once. Closing it gives its memory to other sequences.
 */
public final class Sequence implements AutoCloseable {
  private static final Cleaner CLEANER = Cleaner.create();

  private final Object steps;
  private final Cache cache;
  private final Cleaner.Cleanable end;

  /**
   * Of an empty cache.
   *
   * @param steps held while a step runs
   */
  Sequence(Object steps, Cache cache) {
    this.steps = steps;
    this.cache = cache;
    this.end = CLEANER.register(this, new End(steps, cache));
  }

  private record End(Object steps, Cache cache) implements Runnable {
    @Override
    public void run() {
      synchronized (steps) {
        cache.close();
      }
    }
  }

  Cache cache() {
    return cache;
  }

  /** How many tokens it has. */
  public int length() {
    return cache.length();
  }

  /** Its tokens. */
  public int[] tokens() {
    return cache.tokens();
  }

  /** Forgets all tokens from index {@code length} on. */
  public void truncate(int length) {
    if (length < 0) {
      throw new EngineException("a sequence cannot be cut to " + length + " tokens");
    }
    synchronized (steps) {
      cache.truncate(length);
    }
  }

  /** Ends it; waits for a step that runs. */
  @Override
  public void close() {
    end.clean();
  }
}

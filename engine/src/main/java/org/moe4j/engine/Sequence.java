package org.moe4j.engine;

import org.moe4j.engine.model.Cache;

/** A text in the making: the keys and values of its tokens so far. Made by {@link Engine}. */
public final class Sequence {
  private final Cache cache;

  Sequence(Cache cache) {
    this.cache = cache;
  }

  Cache cache() {
    return cache;
  }

  /** How many tokens it has. */
  public int length() {
    return cache.length();
  }

  /** Forgets all tokens from index {@code length} on. */
  public void truncate(int length) {
    if (length < 0) {
      throw new EngineException("a sequence cannot be cut to " + length + " tokens");
    }
    cache.truncate(length);
  }
}

package org.moe4j.engine;

/**
 * How a model is opened.
 *
 * @param threads that compute, the caller's own among them
 * @param batch tokens of a prompt that go through the layers together
 * @param exact whether activations stay floats where weights have 4 bits: slower, twice the memory
 * @param cacheType in what keys and values are kept
 * @param cacheBytes what the keys and values of all sequences may take together
 * @param keptBytes what keys and values of finished sequences may take of that, kept for prompts
 *     that begin alike; 0 keeps nothing and shares nothing
 * @param memory bytes that the model may take, keys and values and the Java machine included; what
 *     does not fit of routed experts stays on disk and is read when it is needed
 */
public record EngineOptions(
    int threads,
    int batch,
    boolean exact,
    CacheType cacheType,
    long cacheBytes,
    long keptBytes,
    long memory) {
  /**
   * One thread for each core, prompts in pieces of 256 tokens, keys and values in half precision,
   * as many as there are, nothing kept, all weights in memory.
   */
  public static final EngineOptions DEFAULT =
      new EngineOptions(
          Runtime.getRuntime().availableProcessors(),
          256,
          false,
          CacheType.F16,
          Long.MAX_VALUE,
          0,
          Long.MAX_VALUE);

  /** Checks the numbers. */
  public EngineOptions {
    if (threads < 1 || threads > 1024) {
      throw new EngineException("threads is " + threads + ", expected 1 to 1024");
    }
    if (batch < 1 || batch > 1 << 14) {
      throw new EngineException("batch is " + batch + ", expected 1 to 16384");
    }
    if (cacheBytes < 1) {
      throw new EngineException("cacheBytes is " + cacheBytes + ", expected 1 or more");
    }
    if (keptBytes < 0) {
      throw new EngineException("keptBytes is " + keptBytes + ", expected 0 or more");
    }
    if (memory < 1) {
      throw new EngineException("memory is " + memory + ", expected 1 or more");
    }
  }

  /** With another number of threads. */
  public EngineOptions withThreads(int count) {
    return new EngineOptions(count, batch, exact, cacheType, cacheBytes, keptBytes, memory);
  }

  /** With prompts in pieces of {@code tokens}. */
  public EngineOptions withBatch(int tokens) {
    return new EngineOptions(threads, tokens, exact, cacheType, cacheBytes, keptBytes, memory);
  }

  /** With or without exact products. */
  public EngineOptions withExact(boolean on) {
    return new EngineOptions(threads, batch, on, cacheType, cacheBytes, keptBytes, memory);
  }

  /** With keys and values kept in {@code type}. */
  public EngineOptions withCacheType(CacheType type) {
    return new EngineOptions(threads, batch, exact, type, cacheBytes, keptBytes, memory);
  }

  /** With other budgets for keys and values: of all, and of finished sequences. */
  public EngineOptions withCache(long bytes, long kept) {
    return new EngineOptions(threads, batch, exact, cacheType, bytes, kept, memory);
  }

  /** With a budget of memory, beyond which routed experts stay on disk. */
  public EngineOptions withMemory(long bytes) {
    return new EngineOptions(threads, batch, exact, cacheType, cacheBytes, keptBytes, bytes);
  }
}

package org.moe4j.engine;

/**
 * How a model is opened.
 *
 * @param threads that compute, the caller's own among them
 * @param batch tokens of a prompt that go through the layers together
 * @param exact whether activations stay floats where weights have 4 bits: slower, twice the memory
 */
public record EngineOptions(int threads, int batch, boolean exact) {
  /** One thread for each core, prompts in pieces of 256 tokens. */
  public static final EngineOptions DEFAULT =
      new EngineOptions(Runtime.getRuntime().availableProcessors(), 256, false);

  /** Checks the numbers. */
  public EngineOptions {
    if (threads < 1 || threads > 1024) {
      throw new EngineException("threads is " + threads + ", expected 1 to 1024");
    }
    if (batch < 1 || batch > 1 << 14) {
      throw new EngineException("batch is " + batch + ", expected 1 to 16384");
    }
  }

  /** With another number of threads. */
  public EngineOptions withThreads(int count) {
    return new EngineOptions(count, batch, exact);
  }

  /** With prompts in pieces of {@code tokens}. */
  public EngineOptions withBatch(int tokens) {
    return new EngineOptions(threads, tokens, exact);
  }

  /** With or without exact products. */
  public EngineOptions withExact(boolean on) {
    return new EngineOptions(threads, batch, on);
  }
}

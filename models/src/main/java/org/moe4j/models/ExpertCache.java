package org.moe4j.models;

import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;
import org.moe4j.LentExperts;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.Tensor;

/**
 * The experts that are in memory of a model whose experts stay on disk: as many as a number of
 * bytes allows, those used last. An expert that is being used is never dropped; who needs room that
 * only such experts take waits until one is free. Several threads that ask for the same expert read
 * it once.
 *
 * <p>What is held never exceeds the larger of the limit and one expert.
 */
public final class ExpertCache implements AutoCloseable {
  /** The weights of one expert, in memory of their own. */
  record Weights(Tensor in, Tensor out) {
    void close() {
      in.close();
      out.close();
    }
  }

  /**
   * What has happened so far.
   *
   * @param hits how often an expert was wanted and there
   * @param loads how often one was read
   * @param bytesLoaded bytes in memory of the experts read
   * @param bytesHeld bytes of the experts in memory now
   * @param mostBytesHeld the most there ever were
   */
  public record Stats(
      long hits, long loads, long bytesLoaded, long bytesHeld, long mostBytesHeld) {}

  private record Key(int layer, int expert) {}

  private static final class Entry {
    private final long bytes;
    private @Nullable Weights weights;
    private int users = 1;

    Entry(long bytes) {
      this.bytes = bytes;
    }
  }

  private final long limit;
  private final ReentrantLock lock = new ReentrantLock();
  private final Condition changed = lock.newCondition();
  private final Map<Key, Entry> entries = new LinkedHashMap<>(16, 0.75f, true);
  private long hits;
  private long loads;
  private long bytesLoaded;
  private long held;
  private long mostHeld;
  private boolean closed;

  /** A cache of up to {@code limit} bytes; one expert is always held. */
  public ExpertCache(long limit) {
    if (limit < 0) {
      throw new MoeException("room for experts of " + limit + " bytes; give at least 0");
    }
    this.limit = limit;
  }

  /**
   * Runs {@code use} with an expert's weights, which are read if they are not there.
   *
   * @param bytes of the weights in memory
   */
  void with(int layer, int expert, long bytes, Supplier<Weights> read, LentExperts.Use use) {
    Key key = new Key(layer, expert);
    Entry entry = held(key, bytes, read);
    try {
      Weights w = entry.weights;
      if (w == null) {
        throw new AssertionError("an expert in use has been read");
      }
      use.accept(w.in(), w.out());
    } finally {
      lock.lock();
      try {
        entry.users--;
        changed.signalAll();
      } finally {
        lock.unlock();
      }
    }
  }

  private Entry held(Key key, long bytes, Supplier<Weights> read) {
    Entry made = new Entry(bytes);
    lock.lock();
    try {
      while (true) {
        if (closed) {
          throw new IllegalStateException("the experts' model is closed");
        }
        Entry there = entries.get(key);
        if (there != null && there.weights != null) {
          there.users++;
          hits++;
          return there;
        }
        if (there == null && makeRoom(bytes)) {
          break;
        }
        changed.awaitUninterruptibly();
      }
      entries.put(key, made);
      held += bytes;
      mostHeld = Math.max(mostHeld, held);
    } finally {
      lock.unlock();
    }
    return filled(key, made, read);
  }

  /** Reads outside of the lock, so that others may go on. */
  private Entry filled(Key key, Entry entry, Supplier<Weights> read) {
    Weights weights = null;
    try {
      weights = read.get();
      return entry;
    } finally {
      lock.lock();
      try {
        entry.weights = weights;
        if (weights == null) {
          entries.remove(key);
          held -= entry.bytes;
        } else {
          loads++;
          bytesLoaded += entry.bytes;
        }
        changed.signalAll();
      } finally {
        lock.unlock();
      }
    }
  }

  /** Drops experts, the ones used longest ago first, until there is room or none is free. */
  private boolean makeRoom(long bytes) {
    Iterator<Entry> oldest = entries.values().iterator();
    while (held > 0 && held + bytes > limit && oldest.hasNext()) {
      Entry entry = oldest.next();
      if (entry.users == 0 && entry.weights != null) {
        entry.weights.close();
        oldest.remove();
        held -= entry.bytes;
      }
    }
    return held == 0 || held + bytes <= limit;
  }

  /** The limit in bytes. */
  public long limit() {
    return limit;
  }

  /** What has happened so far. */
  public Stats stats() {
    lock.lock();
    try {
      return new Stats(hits, loads, bytesLoaded, held, mostHeld);
    } finally {
      lock.unlock();
    }
  }

  /** Frees all experts; none may be in use. */
  @Override
  public void close() {
    lock.lock();
    try {
      closed = true;
      for (Entry entry : entries.values()) {
        if (entry.weights != null) {
          entry.weights.close();
        }
      }
      entries.clear();
      held = 0;
    } finally {
      lock.unlock();
    }
  }
}

package org.moe4j.engine.kernel;

import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicIntegerArray;
import java.util.concurrent.atomic.AtomicReference;
import java.util.concurrent.locks.LockSupport;
import org.jspecify.annotations.Nullable;

/**
 * A fixed number of threads that share out numbered jobs. Between two calls they spin for a while,
 * as the next call of a step follows within microseconds, then sleep. The caller is one of them.
 * Calls come from one thread at a time.
 */
public final class Workers implements AutoCloseable {
  /** Rounds to spin for the next call before sleeping: some 0.2 ms. */
  private static final int SPINS = 20_000;

  /** Rounds to spin for the others' last jobs before letting other threads have the core. */
  private static final int PATIENCE = 2_000;

  /** A numbered piece of work. */
  @FunctionalInterface
  public interface Job {
    /**
     * Does job {@code index}.
     *
     * @param worker 0 to threads - 1, for memory of a thread's own
     */
    void run(int index, int worker);
  }

  /** Numbered pieces of work that follow one another. */
  @FunctionalInterface
  public interface Jobs {
    /**
     * Does jobs {@code from} to {@code to - 1}.
     *
     * @param worker as of {@link Job}
     */
    void run(int from, int to, int worker);
  }

  private final Thread[] threads;
  private final AtomicIntegerArray asleep;
  private final AtomicInteger next = new AtomicInteger();
  private final AtomicInteger busy = new AtomicInteger();
  private final AtomicReference<@Nullable Throwable> failure = new AtomicReference<>();
  private volatile int epoch;
  private volatile boolean closed;
  private Jobs work = (from, to, worker) -> {};
  private int count;
  private int together = 1;

  /** With {@code count} threads, of which the caller of {@link #run} is one. */
  public Workers(int count) {
    threads = new Thread[count - 1];
    asleep = new AtomicIntegerArray(count);
    for (int i = 0; i < threads.length; i++) {
      int worker = i + 1;
      threads[i] = Thread.ofPlatform().daemon().name("moe4j-" + worker).start(() -> serve(worker));
    }
  }

  /** How many there are, the caller among them. */
  public int count() {
    return threads.length + 1;
  }

  /**
   * Does jobs 0 to {@code jobs - 1}, in any order and by any thread, and returns after the last.
   */
  public void run(int jobs, Job job) {
    run(jobs, 1, (from, to, worker) -> job.run(from, worker));
  }

  /**
   * The same with up to {@code chunk} jobs that follow one another for a thread at a time: what
   * they read lies side by side, and memory is faster in long runs.
   */
  @SuppressWarnings("NonAtomicVolatileUpdate") // only the caller writes it
  public void run(int jobs, int chunk, Jobs some) {
    if (jobs <= chunk || threads.length == 0) {
      for (int i = 0; i < jobs; i += chunk) {
        some.run(i, Math.min(i + chunk, jobs), 0);
      }
      return;
    }
    work = some;
    count = jobs;
    together = chunk;
    next.set(0);
    busy.set(threads.length);
    epoch++;
    for (int i = 0; i < threads.length; i++) {
      if (asleep.get(i + 1) != 0) {
        LockSupport.unpark(threads[i]);
      }
    }
    take(0);
    for (int spins = 0; busy.get() > 0; spins++) {
      if (spins < PATIENCE) {
        Thread.onSpinWait();
      } else {
        LockSupport.parkNanos(this, 10_000);
      }
    }
    Throwable thrown = failure.getAndSet(null);
    if (thrown instanceof RuntimeException e) {
      throw e;
    }
    if (thrown instanceof Error e) {
      throw e;
    }
  }

  private void take(int worker) {
    try {
      int chunk = together;
      for (int first = next.getAndAdd(chunk); first < count; first = next.getAndAdd(chunk)) {
        work.run(first, Math.min(first + chunk, count), worker);
      }
    } catch (RuntimeException | Error e) {
      failure.compareAndSet(null, e);
    }
  }

  private void serve(int worker) {
    int seen = 0;
    while (!closed) {
      int spins = 0;
      while (epoch == seen && !closed) {
        if (++spins < SPINS) {
          Thread.onSpinWait();
        } else {
          asleep.set(worker, 1);
          if (epoch == seen && !closed) {
            LockSupport.park(this);
          }
          asleep.set(worker, 0);
        }
      }
      if (!closed) {
        seen = epoch;
        take(worker);
        busy.decrementAndGet();
      }
    }
  }

  /** Ends the threads. */
  @Override
  public void close() {
    closed = true;
    for (Thread t : threads) {
      LockSupport.unpark(t);
    }
  }
}

package org.moe4j.tensor;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.locks.LockSupport;
import java.util.function.IntConsumer;
import org.bytedeco.openblas.global.openblas_nolapack;
import org.bytedeco.pytorch.GradMode;
import org.bytedeco.pytorch.global.torch;
import org.jspecify.annotations.Nullable;

/**
 * Parallel loops over coarse blocks of rows or experts, on as many threads as {@link
 * Ops#threads()}.
 *
 * <p>Inside a loop every tensor operation runs on one thread, on a block that fits a core's cache.
 * That is faster than letting each operation fork and join by itself: libtorch's pool and the BLAS
 * library's pool wait for work by spinning, and with as many threads as cores each pool takes the
 * cores the other one needs. Therefore the BLAS library is held to one thread, and whoever wants a
 * large product to be parallel splits it here ({@link Ops#linear} and the kernels do).
 */
public final class Workers {
  private static final int SPINS = 4_000;
  private static final List<Worker> HELPERS = new ArrayList<>();
  private static final ThreadLocal<Boolean> INSIDE = ThreadLocal.withInitial(() -> false);

  static {
    NativeRuntime.prepare();
    openblas_nolapack.blas_set_num_threads(1);
  }

  private Workers() {}

  /**
   * Runs {@code body} for 0 .. tasks-1, in any order, on this thread and the helpers; returns when
   * all are done. Each call has its own {@link Scope}: what it makes is freed, so results go into
   * tensors made before. Gradients are not recorded. A loop inside a loop runs on its own thread.
   */
  public static void run(int tasks, IntConsumer body) {
    int threads = Math.min(Ops.threads(), tasks);
    if (threads <= 1 || INSIDE.get()) {
      try (NoGrad off = NoGrad.open()) {
        for (int i = 0; i < tasks; i++) {
          try (Scope scope = Scope.open()) {
            body.accept(i);
          }
        }
      }
      return;
    }
    synchronized (HELPERS) {
      runTogether(tasks, body, threads);
    }
  }

  private static void runTogether(int tasks, IntConsumer body, int threads) {
    int all = Ops.threads();
    while (HELPERS.size() < threads - 1) {
      HELPERS.add(Worker.start(HELPERS.size() + 1, all));
    }
    Job job = new Job(tasks, body);
    for (int i = 0; i < threads - 1; i++) {
      HELPERS.get(i).give(job);
    }
    torch.set_num_threads(1);
    INSIDE.set(true);
    try (NoGrad off = NoGrad.open()) {
      job.work();
      job.finish();
    } finally {
      INSIDE.set(false);
      torch.set_num_threads(all);
    }
    Throwable error = job.error;
    if (error != null) {
      switch (error) {
        case RuntimeException e -> throw e;
        case Error e -> throw e;
        default -> throw new IllegalStateException(error);
      }
    }
  }

  /** The body of {@link #rows}. */
  @FunctionalInterface
  public interface RowBlock {
    /** Computes rows {@code start .. start+count-1}. */
    void accept(long start, long count);
  }

  /**
   * Runs {@code body} over blocks that together cover rows 0 .. rows-1.
   *
   * @param block the number of rows of a block (the last may be shorter)
   */
  public static void rows(long rows, long block, RowBlock body) {
    int tasks = Math.toIntExact((rows + block - 1) / block);
    run(tasks, i -> body.accept(i * block, Math.min(block, rows - i * block)));
  }

  /** One loop. Helpers that wake up too late to enter are not waited for. */
  private static final class Job {
    private static final int CLOSED = 1 << 30;

    private final int tasks;
    private final IntConsumer body;
    private final AtomicInteger next = new AtomicInteger();
    private final AtomicInteger inside = new AtomicInteger();
    private volatile @Nullable Throwable error;

    Job(int tasks, IntConsumer body) {
      this.tasks = tasks;
      this.body = body;
    }

    void help() {
      if (inside.getAndIncrement() < CLOSED) {
        work();
      }
      inside.getAndDecrement();
    }

    void work() {
      for (int i = next.getAndIncrement(); i < tasks; i = next.getAndIncrement()) {
        try (Scope scope = Scope.open()) {
          body.accept(i);
        } catch (Throwable e) {
          error = e;
          next.set(tasks);
        }
      }
    }

    void finish() {
      for (int spins = 0; !inside.compareAndSet(0, CLOSED); spins++) {
        if (spins < SPINS) {
          Thread.onSpinWait();
        } else {
          LockSupport.parkNanos(this, 10_000);
        }
      }
    }
  }

  /** A helper thread: spins a little for the next loop, then sleeps. */
  private static final class Worker extends Thread {
    private volatile @Nullable Job job;
    private volatile boolean ready;

    private Worker(int index) {
      super("moe4j-worker-" + index);
      setDaemon(true);
    }

    static Worker start(int index, int all) {
      Worker worker = new Worker(index);
      worker.start();
      while (!worker.ready) {
        Thread.onSpinWait();
      }
      // The helper's own setting also became the default of threads to come: put it back.
      torch.set_num_threads(all);
      return worker;
    }

    void give(Job next) {
      job = next;
      LockSupport.unpark(this);
    }

    @Override
    public void run() {
      torch.get_num_threads();
      torch.set_num_threads(1);
      GradMode.set_enabled(false);
      INSIDE.set(true);
      ready = true;
      int idle = 0;
      while (true) {
        Job mine = job;
        if (mine != null) {
          job = null;
          mine.help();
          idle = 0;
        } else if (idle++ < SPINS) {
          Thread.onSpinWait();
        } else {
          LockSupport.park(this);
        }
      }
    }
  }
}

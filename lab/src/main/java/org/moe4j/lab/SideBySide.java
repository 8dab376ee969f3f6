package org.moe4j.lab;

import java.util.List;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.BooleanSupplier;
import org.jspecify.annotations.Nullable;
import org.moe4j.tensor.Ops;

/** Pieces of work on several lanes, each lane a thread whose operations use no other. */
final class SideBySide {
  private SideBySide() {}

  /** A piece of work. */
  @FunctionalInterface
  interface Piece<T, R> {
    /**
     * Does it.
     *
     * @param failed says whether another piece has failed, so that this one may give up
     */
    R run(T what, BooleanSupplier failed);
  }

  /**
   * Does all pieces, begun in their order, and returns what they gave in the same order. One lane
   * is this thread, whose operations use as many threads as before.
   *
   * @throws RuntimeException what the first piece to fail threw, once all have ended
   */
  static <T, R> List<R> run(int lanes, List<T> pieces, Piece<T, R> piece) {
    if (lanes == 1) {
      return pieces.stream().map(p -> piece.run(p, () -> false)).toList();
    }
    AtomicReference<@Nullable Throwable> failure = new AtomicReference<>();
    int threads = Ops.threads();
    Ops.threads(1);
    try (ExecutorService crew = Executors.newFixedThreadPool(lanes)) {
      List<Future<R>> all =
          pieces.stream().map(p -> crew.submit(() -> guarded(p, piece, failure))).toList();
      return all.stream().map(future -> result(future, failure)).toList();
    } finally {
      Ops.threads(threads);
    }
  }

  private static <T, R> R guarded(
      T what, Piece<T, R> piece, AtomicReference<@Nullable Throwable> failure) {
    try {
      return piece.run(what, () -> failure.get() != null);
    } catch (RuntimeException | Error e) {
      failure.compareAndSet(null, e);
      throw e;
    }
  }

  private static <R> R result(Future<R> future, AtomicReference<@Nullable Throwable> failure) {
    try {
      return future.get();
    } catch (ExecutionException e) {
      switch (failure.get()) {
        case RuntimeException first -> throw first;
        case Error first -> throw first;
        case null, default -> throw new IllegalStateException(e);
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      failure.compareAndSet(null, e);
      throw new IllegalStateException("interrupted while trials were running", e);
    }
  }
}

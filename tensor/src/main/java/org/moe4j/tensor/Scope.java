package org.moe4j.tensor;

import java.util.ArrayDeque;
import java.util.Deque;
import java.util.Iterator;
import java.util.function.Supplier;
import org.bytedeco.javacpp.Pointer;
import org.bytedeco.javacpp.PointerScope;
import org.jspecify.annotations.Nullable;

/**
 * Frees every tensor made on this thread between {@link #open} and {@link #close}, except those
 * passed out or kept. A training step is one scope, so its memory is gone when the step ends.
 *
 * <pre>{@code
 * try (Scope step = Scope.open()) {
 *   Tensor loss = model.loss(batch);
 *   loss.backward();
 * }
 * }</pre>
 *
 * Scopes nest and belong to one thread. A tensor outlives its scope in two ways: {@link #pass}
 * hands it to the enclosing scope, {@link Tensor#keep} makes it live until {@link Tensor#close}.
 * Gradients are computed before the outermost scope of their forward pass is closed.
 */
public final class Scope implements AutoCloseable {
  private static final ThreadLocal<Deque<Scope>> OPEN = ThreadLocal.withInitial(ArrayDeque::new);

  private final PointerScope scope = new PointerScope();
  private final Thread owner = Thread.currentThread();
  private boolean closed;

  private Scope() {
    OPEN.get().push(this);
  }

  /** Opens a scope on the calling thread. */
  public static Scope open() {
    return new Scope();
  }

  /** Runs {@code body} in a scope of its own and hands its result to the enclosing scope. */
  public static Tensor of(Supplier<Tensor> body) {
    try (Scope scope = open()) {
      return scope.pass(body.get());
    }
  }

  /** The number of scopes open on the calling thread. */
  public static int depth() {
    return OPEN.get().size();
  }

  /** Hands {@code tensor} to the enclosing scope; without one, it lives until it is freed. */
  public Tensor pass(Tensor tensor) {
    Iterator<Scope> scopes = OPEN.get().iterator();
    while (scopes.hasNext() && !isThis(scopes.next())) {}
    give(tensor.at, scopes.hasNext() ? scopes.next() : null);
    return tensor;
  }

  /** The outermost scope of this thread, if any is open. */
  static @Nullable Scope outermost() {
    return OPEN.get().peekLast();
  }

  /** Makes {@code pointer} live as long as the scope {@code to}; without one, until it is freed. */
  static void give(Pointer pointer, @Nullable Scope to) {
    if (to == null) {
      pointer.retainReference();
    } else {
      to.scope.attach(pointer);
    }
  }

  @SuppressWarnings("ReferenceEquality") // this very scope, not an equal one
  private boolean isThis(Scope other) {
    return this == other;
  }

  /** Frees what was made in this scope. Closing it again does nothing. */
  @Override
  public void close() {
    if (Thread.currentThread().threadId() != owner.threadId()) {
      throw new IllegalStateException("a Scope is closed on the thread that opened it");
    }
    if (!closed) {
      closed = true;
      OPEN.get().removeFirstOccurrence(this);
      scope.close();
    }
  }
}

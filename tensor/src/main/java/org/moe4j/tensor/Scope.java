package org.moe4j.tensor;

import java.util.function.Supplier;
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
 * Scopes nest and belong to one thread. A tensor outlives its scope in two ways: {@link #pass} hands
 * it to the enclosing scope, {@link Tensor#keep} makes it live until {@link Tensor#close}. Gradients
 * are computed inside the scope of the forward pass they belong to.
 */
public final class Scope implements AutoCloseable {
  private static final ThreadLocal<Integer> DEPTH = ThreadLocal.withInitial(() -> 0);

  private final PointerScope scope = new PointerScope();
  private final Thread owner = Thread.currentThread();

  private Scope() {
    DEPTH.set(DEPTH.get() + 1);
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
    return DEPTH.get();
  }

  /** Hands {@code tensor} to the enclosing scope; without one, keeps it until it is closed. */
  public Tensor pass(Tensor tensor) {
    tensor.at.retainReference();
    PointerScope outer = outer();
    if (outer != null) {
      outer.attach(tensor.at);
      tensor.at.releaseReference();
    }
    return tensor;
  }

  @SuppressWarnings("ReferenceEquality") // this very scope, not an equal one
  private @Nullable PointerScope outer() {
    PointerScope found = null;
    var scopes = PointerScope.getScopeIterator();
    // Innermost first; the one after this scope encloses it.
    boolean mine = false;
    while (scopes.hasNext()) {
      PointerScope next = scopes.next();
      if (mine) {
        found = next;
        break;
      }
      mine = next == scope;
    }
    return found;
  }

  @Override
  @SuppressWarnings("ReferenceEquality")
  public void close() {
    if (Thread.currentThread() != owner) {
      throw new IllegalStateException("a Scope is closed on the thread that opened it");
    }
    DEPTH.set(DEPTH.get() - 1);
    scope.close();
  }
}

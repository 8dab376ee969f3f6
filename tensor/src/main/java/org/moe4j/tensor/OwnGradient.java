package org.moe4j.tensor;

import java.util.List;
import org.bytedeco.pytorch.TensorBase;
import org.bytedeco.pytorch.TensorTensorHook;
import org.bytedeco.pytorch.VoidTensorHook;
import org.jspecify.annotations.Nullable;

/**
 * Gives a function its own gradient: the forward pass runs unrecorded, the backward pass is ours.
 *
 * <p>It works through hooks. The output is joined to every input by a number that is always zero,
 * so that libtorch's graph leads there; a hook on the output runs the backward function when its
 * gradient arrives, and a hook on each input replaces the zeros by what that function returned.
 * Nests, can be called any number of times, and inputs that need no gradient cost nothing. If no
 * input needs one, or nothing is being recorded, only the forward pass runs.
 *
 * <p>Both passes run in a scope of their own: what the forward pass makes is freed when it returns,
 * except its output and what it names as saved; that is freed when the backward pass has run, or
 * with the outermost {@link Scope} of the forward pass, whichever is first. So a backward pass can
 * run once, and before that scope is closed.
 */
public final class OwnGradient {
  /** The gradient a hook returned last on this thread: still read after the hook has returned. */
  private static final ThreadLocal<@Nullable Tensor> RETURNED = new ThreadLocal<>();

  private static final ThreadLocal<Boolean> WANTED = ThreadLocal.withInitial(() -> false);

  private OwnGradient() {}

  /** The backward half: gradients of all inputs from the gradient of the output. */
  @FunctionalInterface
  public interface Backward {
    /**
     * Gradients in the order of the inputs, each of its input's shape; null where {@code needed} is
     * false.
     */
    @Nullable Tensor[] apply(Tensor outputGradient, boolean[] needed);
  }

  /**
   * What a forward pass hands over.
   *
   * @param output in memory of its own (it is joined to the graph in place, so never a view)
   * @param backward the way back
   * @param saved every tensor that {@code backward} uses, inputs included
   */
  public record Result(Tensor output, Backward backward, List<Tensor> saved) {
    /** A result whose backward function uses {@code saved}. */
    public Result(Tensor output, Backward backward, Tensor... saved) {
      this(output, backward, List.of(saved));
    }
  }

  /** The forward half; receives the inputs without history. */
  @FunctionalInterface
  public interface Forward {
    Result apply(Tensor[] inputs);
  }

  /**
   * Inside a forward function: whether its backward function will be kept. A function that computes
   * gradients ahead asks.
   */
  public static boolean wanted() {
    return WANTED.get();
  }

  /** Computes {@code forward(inputs)} and records its backward function. */
  public static Tensor apply(Forward forward, Tensor... inputs) {
    return apply(forward, false, inputs);
  }

  /**
   * As {@link #apply(Forward, Tensor...)}, for a function that also has leaves of its own: with
   * {@code leaves} true it is recorded even if no input needs a gradient, and its backward function
   * adds to those leaves' gradients itself ({@link Tensor#setGrad}, {@link Tensor#grad}). That
   * saves libtorch's copy of a large gradient.
   */
  public static Tensor apply(Forward forward, boolean leaves, Tensor... inputs) {
    boolean[] needed = new boolean[inputs.length];
    boolean any = leaves && NoGrad.recording();
    for (int i = 0; i < inputs.length; i++) {
      needed[i] = NoGrad.recording() && inputs[i].requiresGrad();
      any |= needed[i];
    }
    if (!any && !NoGrad.recording() && !wanted()) {
      // Decoding makes many small steps: no views of the inputs, nothing to put back.
      try (Scope scope = Scope.open()) {
        return scope.pass(forward.apply(inputs).output());
      }
    }
    Scope step = Scope.outermost();
    try (Scope scope = Scope.open()) {
      Result result;
      try (NoGrad off = NoGrad.open()) {
        Tensor[] plain = new Tensor[inputs.length];
        for (int i = 0; i < inputs.length; i++) {
          plain[i] = inputs[i].detach();
        }
        boolean outer = WANTED.get();
        WANTED.set(any);
        try {
          result = forward.apply(plain);
        } finally {
          WANTED.set(outer);
        }
      }
      return scope.pass(any ? record(result, inputs, needed, step) : result.output());
    }
  }

  private static Tensor record(
      Result result, Tensor[] inputs, boolean[] needed, @Nullable Scope step) {
    @Nullable Tensor[] gradients = new @Nullable Tensor[inputs.length];
    Tensor zero = null;
    for (int i = 0; i < inputs.length; i++) {
      if (needed[i]) {
        Tensor branch = new Tensor(inputs[i].at.alias());
        hook(branch, new Replace(gradients, i), step);
        Tensor nothing = nothing(branch).to(result.output().dtype());
        zero = zero == null ? nothing : zero.add(nothing);
      }
    }
    if (zero == null) {
      // Only the function's own leaves: a leaf that nobody reads keeps the output in the graph.
      zero = Tensor.zeros(result.output().dtype(), result.output().device()).requiresGrad(true);
    }
    Tensor output = result.output().addInPlace(zero);
    for (Tensor saved : result.saved()) {
      Scope.give(saved.at, step);
    }
    hook(output, new Arrive(result, gradients, needed), step);
    return output;
  }

  /**
   * A zero that depends on {@code x}. Its gradient there is a zero spread by strides, so that no
   * memory is filled with zeros that a hook replaces anyway.
   */
  private static Tensor nothing(Tensor x) {
    Tensor sum = new Tensor(x.at.sum());
    Tensor zero = Tensor.zeros(sum.dtype(), sum.device());
    return Tensor.where(Tensor.zeros(DType.BOOL, sum.device()), sum, zero);
  }

  private static void hook(Tensor tensor, VoidTensorHook hook, @Nullable Scope step) {
    Scope.give(hook, step);
    tensor.at.register_hook(hook);
  }

  private static void hook(Tensor tensor, TensorTensorHook hook, @Nullable Scope step) {
    Scope.give(hook, step);
    tensor.at.register_hook(hook);
  }

  /** Runs the backward function when the output's gradient arrives. */
  private static final class Arrive extends VoidTensorHook {
    private final Result result;
    private final @Nullable Tensor[] gradients;
    private final boolean[] needed;

    Arrive(Result result, @Nullable Tensor[] gradients, boolean[] needed) {
      this.result = result;
      this.gradients = gradients;
      this.needed = needed;
    }

    @Override
    public void call(TensorBase gradient) {
      try (Scope scope = Scope.open();
          NoGrad off = NoGrad.open()) {
        Tensor dy = new Tensor(new org.bytedeco.pytorch.Tensor(gradient));
        @Nullable Tensor[] all = result.backward().apply(dy, needed);
        for (int i = 0; i < all.length; i++) {
          Tensor one = all[i];
          // A hold of its own: the function may return a tensor that is also saved, twice even.
          gradients[i] =
              one == null ? null : scope.pass(new Tensor(new org.bytedeco.pytorch.Tensor(one.at)));
        }
      }
      result.saved().forEach(Tensor::free);
    }
  }

  /** Replaces the zeros that reach an input by its gradient. */
  private static final class Replace extends TensorTensorHook {
    private final @Nullable Tensor[] gradients;
    private final int index;

    Replace(@Nullable Tensor[] gradients, int index) {
      this.gradients = gradients;
      this.index = index;
    }

    @Override
    public TensorBase call(TensorBase zeros) {
      Tensor before = RETURNED.get();
      if (before != null) {
        before.free(); // libtorch has its own hold on it by now
        RETURNED.remove();
      }
      Tensor gradient = gradients[index];
      if (gradient == null) {
        return zeros;
      }
      gradients[index] = null;
      RETURNED.set(gradient);
      return gradient.at;
    }
  }
}

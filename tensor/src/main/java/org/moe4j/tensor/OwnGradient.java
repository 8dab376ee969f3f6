package org.moe4j.tensor;

import org.bytedeco.pytorch.TensorBase;
import org.bytedeco.pytorch.TensorTensorHook;
import org.bytedeco.pytorch.VoidTensorHook;
import org.jspecify.annotations.Nullable;

/**
 * Gives a function its own gradient: the forward pass runs unrecorded, the backward pass is ours.
 *
 * <p>It works through hooks. The output is joined to every input by a number that is always zero, so
 * that libtorch's graph leads there; a hook on the output runs the backward function when its
 * gradient arrives, and a hook on each input replaces the zeros by what that function returned.
 * Nests, can be called any number of times, and inputs that need no gradient cost nothing. If no
 * input needs one, or nothing is being recorded, only the forward pass runs.
 *
 * <p>The forward and the backward pass belong in one {@link Scope}: what the function saved is freed
 * with the scope it was made in.
 */
public final class OwnGradient {
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
   * What a forward pass hands over: the output, in memory of its own (it is joined to the graph in
   * place, so never a view of an input), and how to go back.
   */
  public record Result(Tensor output, Backward backward) {}

  /** The forward half; receives the inputs without history. */
  @FunctionalInterface
  public interface Forward {
    Result apply(Tensor[] inputs);
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
    Tensor[] plain = new Tensor[inputs.length];
    for (int i = 0; i < inputs.length; i++) {
      plain[i] = inputs[i].detach();
    }
    Result result;
    try (NoGrad off = NoGrad.open()) {
      result = forward.apply(plain);
    }
    return any ? record(result, inputs, needed) : result.output();
  }

  private static Tensor record(Result result, Tensor[] inputs, boolean[] needed) {
    @Nullable Tensor[] gradients = new @Nullable Tensor[inputs.length];
    Tensor zero = null;
    for (int i = 0; i < inputs.length; i++) {
      if (needed[i]) {
        Tensor branch = new Tensor(inputs[i].at.alias());
        branch.at.register_hook(new Replace(gradients, i));
        Tensor nothing =
            new Tensor(branch.at.flatten().narrow(0, 0, 0).sum()).to(result.output().dtype());
        zero = zero == null ? nothing : zero.add(nothing);
      }
    }
    if (zero == null) {
      // Only the function's own leaves: a leaf that nobody reads keeps the output in the graph.
      zero = Tensor.zeros(result.output().dtype(), result.output().device()).requiresGrad(true);
    }
    Tensor output = result.output().addInPlace(zero);
    output.at.register_hook(new Arrive(result.backward(), gradients, needed));
    return output;
  }

  /** Runs the backward function when the output's gradient arrives. */
  private static final class Arrive extends VoidTensorHook {
    private final Backward backward;
    private final @Nullable Tensor[] gradients;
    private final boolean[] needed;

    Arrive(Backward backward, @Nullable Tensor[] gradients, boolean[] needed) {
      this.backward = backward;
      this.gradients = gradients;
      this.needed = needed;
    }

    @Override
    public void call(TensorBase gradient) {
      try (NoGrad off = NoGrad.open()) {
        Tensor dy = new Tensor(new org.bytedeco.pytorch.Tensor(gradient));
        @Nullable Tensor[] all = backward.apply(dy, needed);
        System.arraycopy(all, 0, gradients, 0, gradients.length);
      }
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
      Tensor gradient = gradients[index];
      gradients[index] = null;
      return gradient == null ? zeros : gradient.at;
    }
  }
}

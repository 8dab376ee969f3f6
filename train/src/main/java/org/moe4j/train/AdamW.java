package org.moe4j.train;

import java.util.ArrayList;
import java.util.Collection;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.moe4j.Parameter;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.NativeOp;
import org.moe4j.tensor.NoGrad;
import org.moe4j.tensor.Safetensors;
import org.moe4j.tensor.SafetensorsWriter;
import org.moe4j.tensor.Scope;
import org.moe4j.tensor.Tensor;
import org.moe4j.tensor.Workers;

/**
 * AdamW (Loshchilov and Hutter, "Decoupled Weight Decay Regularization", ICLR 2019, algorithm 2),
 * through libtorch's fused kernel: one call for all parameters that decay, one for those that do
 * not ({@link Parameter#decays}). State is made when a parameter is first updated, so frozen
 * parameters have none. Of a parameter that is trained in part ({@link Parameter#trainOnly}) the
 * rest keeps every bit.
 *
 * <p>A gradient {@link Tensor#ofRows of rows} moves these rows alone, and decays them alone: the
 * others' values and running means stay as they are, as if the step had not been. Bias correction
 * counts the parameter's updates, not the row's. This is the rule known as lazy or sparse Adam
 * (libtorch's SparseAdam); the time of a step then goes with the rows and not with the table.
 */
public final class AdamW implements AutoCloseable {
  private static final String MEAN = "exp_avg.";
  private static final String SQUARE = "exp_avg_sq.";
  private static final String STEP = "step.";

  /** Numbers of a block of rows: what of values, means and squares stays in a core's cache. */
  private static final int BLOCK = 1 << 15;

  /**
   * The constants of the method.
   *
   * @param beta1 decay of the mean of gradients
   * @param beta2 decay of the mean of squared gradients
   * @param eps added to the denominator
   * @param weightDecay of the parameters that decay; times the learning rate
   */
  public record Options(double beta1, double beta2, double eps, double weightDecay) {}

  /** Both running means and the number of updates, a scalar. */
  private record State(Tensor mean, Tensor square, Tensor step) {
    static State of(Tensor like) {
      try (Scope scope = Scope.open()) {
        return new State(
            Tensor.zeros(like.dtype(), like.device(), like.shape()).keep(),
            Tensor.zeros(like.dtype(), like.device(), like.shape()).keep(),
            Tensor.zeros(DType.F32, like.device()).keep());
      }
    }

    void close() {
      mean.close();
      square.close();
      step.close();
    }
  }

  private final List<Parameter> parameters;
  private final Options options;
  private final Map<String, State> states = new LinkedHashMap<>();

  /** An optimiser of {@code parameters}; the frozen ones among them are left alone. */
  public AdamW(Collection<Parameter> parameters, Options options) {
    this.parameters = List.copyOf(parameters);
    this.options = options;
  }

  /**
   * Updates every parameter that has a gradient. Gradients are then unspecified; the caller clears
   * them.
   *
   * @param learningRate of this update
   * @param divisor gradients are divided by it first, on the fly: clipping and averaging
   */
  public void update(double learningRate, double divisor) {
    try (NoGrad off = NoGrad.open();
        Scope scope = Scope.open()) {
      group(true, learningRate, divisor);
      group(false, learningRate, divisor);
    }
  }

  private void group(boolean decays, double learningRate, double divisor) {
    List<Tensor> values = new ArrayList<>();
    List<Tensor> gradients = new ArrayList<>();
    List<Tensor> means = new ArrayList<>();
    List<Tensor> squares = new ArrayList<>();
    List<Tensor> steps = new ArrayList<>();
    for (Parameter p : parameters) {
      Tensor gradient = p.tensor().grad().orElse(null);
      if (p.decays() == decays && !p.isFrozen() && gradient != null) {
        State state = states.computeIfAbsent(p.name(), name -> State.of(p.tensor()));
        state.step.addInPlace(1);
        if (gradient.isRows()) {
          rows(p.tensor().detach(), gradient, state, decays, learningRate, divisor);
          continue;
        }
        // The kernel walks through memory and does not look at strides.
        List<Tensor> parts = p.trained(gradient.contiguous());
        values.addAll(p.trained(p.tensor()));
        gradients.addAll(parts);
        means.addAll(p.trained(state.mean));
        squares.addAll(p.trained(state.square));
        steps.addAll(Collections.nCopies(parts.size(), state.step));
      }
    }
    if (values.isEmpty()) {
      return;
    }
    run(values, gradients, means, squares, steps, decays, learningRate, divisor);
  }

  /** Moves the rows that the gradient has, block by block. */
  private void rows(
      Tensor values,
      Tensor gradient,
      State state,
      boolean decays,
      double learningRate,
      double divisor) {
    Tensor index = gradient.rowIndex();
    Tensor sums = gradient.rowValues();
    List<Tensor> all = List.of(values, state.mean, state.square);
    long width = Math.max(1, sums.numel() / Math.max(1, index.numel()));
    Workers.rows(
        index.numel(),
        Math.max(1, BLOCK / width),
        (start, count) -> {
          Tensor rows = index.narrow(0, start, count);
          List<Tensor> own = all.stream().map(t -> t.indexSelect(0, rows)).toList();
          run(
              own.subList(0, 1),
              List.of(sums.narrow(0, start, count)),
              own.subList(1, 2),
              own.subList(2, 3),
              List.of(state.step),
              decays,
              learningRate,
              divisor);
          for (int i = 0; i < own.size(); i++) {
            all.get(i).indexCopyInPlace(0, rows, own.get(i));
          }
        });
  }

  private void run(
      List<Tensor> values,
      List<Tensor> gradients,
      List<Tensor> means,
      List<Tensor> squares,
      List<Tensor> steps,
      boolean decays,
      double learningRate,
      double divisor) {
    Tensor scale =
        divisor == 1 ? null : Tensor.full(divisor, DType.F32, values.getFirst().device());
    NativeOp.of("_fused_adamw_")
        .run(
            values,
            gradients,
            means,
            squares,
            List.of(),
            steps,
            learningRate,
            options.beta1,
            options.beta2,
            decays ? options.weightDecay : 0.0,
            options.eps,
            false,
            false,
            scale,
            null);
  }

  /** The whole state for a safetensors file. */
  List<SafetensorsWriter.Item> items() {
    List<SafetensorsWriter.Item> items = new ArrayList<>();
    states.forEach(
        (name, state) -> {
          items.add(SafetensorsWriter.Item.of(MEAN + name, state.mean));
          items.add(SafetensorsWriter.Item.of(SQUARE + name, state.square));
          items.add(SafetensorsWriter.Item.of(STEP + name, state.step));
        });
    return items;
  }

  /**
   * Continues from a saved state.
   *
   * @throws MoeException if it belongs to another model; the state is then unspecified
   */
  void load(Safetensors from) {
    Map<String, Parameter> known = new LinkedHashMap<>();
    parameters.forEach(p -> known.put(p.name(), p));
    for (String stored : from.names()) {
      if (stored.startsWith(STEP)) {
        String name = stored.substring(STEP.length());
        Parameter p = known.get(name);
        if (p == null) {
          throw new MoeException(
              from.path()
                  + ": state of a parameter "
                  + name
                  + " that this model does not have;"
                  + " a checkpoint of another shape");
        }
        State state = states.computeIfAbsent(name, n -> State.of(p.tensor()));
        from.loadInto(MEAN + name, state.mean);
        from.loadInto(SQUARE + name, state.square);
        from.loadInto(stored, state.step);
      }
    }
  }

  /** The number of parameters that have been updated at least once. */
  public int states() {
    return states.size();
  }

  /** Frees the state. */
  @Override
  public void close() {
    states.values().forEach(State::close);
    states.clear();
  }
}

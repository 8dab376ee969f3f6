package org.moe4j;

import org.moe4j.tensor.Tensor;

/**
 * PEER's experts (S52): expert i is one neuron without a bias, {@code act(w_down_i . x) w_up_i}. A
 * token's output is the sum of its retrieved experts, each times its weight: a dense layer of n
 * neurons put together for this token.
 *
 * <p>Gradients of the tables are by default rows of what was retrieved alone, which the optimiser
 * moves alone.
 */
public final class SingleNeuronExperts implements RetrievalExperts {
  private final int count;
  private final Activation activation;
  private final boolean rowGradients;
  private final Parameter down;
  private final Parameter up;

  /** Makes {@code w_down} and {@code w_up}, both [N,d]. */
  SingleNeuronExperts(
      int count,
      int width,
      Activation activation,
      boolean rowGradients,
      Init downInit,
      Init upInit,
      ParameterStore store,
      int layer) {
    this.count = count;
    this.activation = activation;
    this.rowGradients = rowGradients;
    Role role = new Role.RoutedExperts(layer, count);
    this.down = store.create("w_down", role, downInit, count, width);
    this.up = store.create("w_up", role, upInit, count, width);
  }

  @Override
  public int count() {
    return count;
  }

  /** What each neuron reads [N,d]. */
  public Parameter down() {
    return down;
  }

  /** What each neuron writes [N,d]. */
  public Parameter up() {
    return up;
  }

  @Override
  public Tensor forward(Tensor x, Retrieval routing, TokenContext context) {
    Lookup lookup = new Lookup(routing.ids(), count, rowGradients);
    Tensor hidden = activation.of(lookup.dots(down, x));
    Tensor weighted = hidden.mul(routing.weights().to(hidden.dtype()));
    return lookup.mix(up, weighted).to(x.dtype());
  }
}

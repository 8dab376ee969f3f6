package org.moe4j;

import org.moe4j.tensor.Tensor;

/**
 * Brings tokens to experts and their outputs back. {@link #dispatch} and {@link #combine} are the
 * two verbs; the state between them is typed. For one routing all dispatchers give the same
 * numbers.
 *
 * @param <S> what dispatch remembers for combine
 */
public interface Dispatcher<S extends Dispatcher.State> {
  /** What lies between dispatch and combine. */
  interface State {
    /** The rows the experts are to compute. */
    ExpertInput input();
  }

  /**
   * Lays out the rows of each expert.
   *
   * @param x [T,d]
   */
  S dispatch(Tensor x, Routing routing);

  /**
   * Mixes the experts' outputs.
   *
   * @param outputs in the layout of the state's input
   * @return [T,d] of the type of the outputs
   */
  Tensor combine(Tensor outputs, S state);

  /** Dispatch, experts and combine; may be overridden by a path that fuses them. */
  default Tensor apply(Tensor x, Routing routing, Experts experts, TokenContext context) {
    S state = dispatch(x, routing);
    return combine(experts.forward(state.input(), context), state);
  }
}

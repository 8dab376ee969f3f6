package org.moe4j;

/**
 * Moves a layer's state at the optimiser's boundary: once per update, from statistics summed over
 * all batches (and ranks) of the step, never in evaluation. The state itself is {@link Role.State}
 * in the model's store, so that checkpoints hold it.
 */
@FunctionalInterface
public interface Controller {
  /**
   * Moves the state.
   *
   * @param step the layer's routing since the last call
   */
  void update(RoutingStats step);
}

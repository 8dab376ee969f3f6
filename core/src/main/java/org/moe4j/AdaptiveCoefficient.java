package org.moe4j;

import java.util.Arrays;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.NoGrad;
import org.moe4j.tensor.Tensor;

/**
 * The coefficient of an {@link AdaptiveBalance} in one layer: state of type F64, moved once per
 * optimiser step.
 */
final class AdaptiveCoefficient implements Controller {
  private final AdaptiveBalance rule;
  private final double most;
  private final Capacity capacity;
  private final Parameter value;

  /** Makes the state {@code balance.NAME} in {@code store}, which starts at the coefficient. */
  AdaptiveCoefficient(
      AdaptiveBalance rule, double most, Capacity capacity, ParameterStore store, int layer) {
    this.rule = rule;
    this.most = most;
    this.capacity = capacity;
    this.value =
        store.state(
            "balance." + rule.name(), layer, Tensor.full(most, DType.F64, store.device(), 1));
  }

  /** The coefficient now. */
  double value() {
    return value.tensor().item();
  }

  @Override
  public void update(RoutingStats step) {
    boolean drops = !(capacity.train() instanceof CapacityRule.Unlimited);
    double rate = drops ? step.dropRate() : excess(step.asked());
    double next = rule.beta() * value() + (1 - rule.beta()) * Math.min(rule.xi() * rate, most);
    try (NoGrad off = NoGrad.open()) {
      value.tensor().fillInPlace(next);
    }
  }

  /** The share of the load beyond the virtual slots of each expert. */
  private double excess(double[] loads) {
    double all = Arrays.stream(loads).sum();
    double slots = rule.virtualFactor() * all / loads.length;
    return all == 0 ? 0 : Arrays.stream(loads).map(c -> Math.max(0, c - slots)).sum() / all;
  }
}

package org.moe4j;

import java.util.HashMap;
import java.util.Map;
import java.util.NavigableMap;
import java.util.Optional;
import java.util.TreeMap;
import java.util.function.Function;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.Tensor;

/**
 * What one layer's router leaves for a later one in the same forward pass, for instance the
 * recurrent state of S55, and for the end of the pass: losses that need its result. One object
 * belongs to one forward pass and is shared by its layers.
 */
public final class CarriedState {
  private final Map<String, Tensor> values = new HashMap<>();
  private final Map<Integer, Function<Reward, Tensor>> learners = new TreeMap<>();
  private final Map<String, NavigableMap<Integer, Tensor>> byLayer = new HashMap<>();

  /** What an earlier layer left under this name. */
  public Optional<Tensor> read(String name) {
    return Optional.ofNullable(values.get(name));
  }

  /** Leaves {@code value} for later layers. */
  public void write(String name, Tensor value) {
    values.put(name, value);
  }

  /**
   * Leaves a loss of layer {@code layer} that can be told only when the pass has ended: a weighted
   * scalar with gradient, from the reward of the pass's tokens (S17's policy gradient).
   */
  public void whenRewarded(int layer, Function<Reward, Tensor> loss) {
    learners.put(layer, loss);
  }

  /** True if a router of this pass waits for its reward. */
  public boolean awaitsReward() {
    return !learners.isEmpty();
  }

  /**
   * The sum of the losses left, for whoever knows the reward; they are then gone.
   *
   * @throws MoeException if nothing waits for a reward
   */
  public Tensor rewarded(Reward reward) {
    Tensor sum =
        learners.values().stream()
            .map(loss -> loss.apply(reward))
            .reduce(Tensor::add)
            .orElseThrow(() -> new MoeException("no router of this pass waits for a reward"));
    learners.clear();
    return sum;
  }

  /**
   * What the nearest layer below {@code layer} left under this name. The first layer finds nothing,
   * even if the same context served a pass before.
   */
  public Optional<Tensor> below(int layer, String name) {
    return Optional.ofNullable(byLayer.get(name))
        .map(values -> values.lowerEntry(layer))
        .map(Map.Entry::getValue);
  }

  /** Leaves {@code value} of layer {@code layer} for those above it. */
  public void write(int layer, String name, Tensor value) {
    byLayer.computeIfAbsent(name, n -> new TreeMap<>()).put(layer, value);
  }
}

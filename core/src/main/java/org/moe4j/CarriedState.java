package org.moe4j;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
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
  private final List<Function<Reward, Tensor>> learners = new ArrayList<>();

  /** What an earlier layer left under this name. */
  public Optional<Tensor> read(String name) {
    return Optional.ofNullable(values.get(name));
  }

  /** Leaves {@code value} for later layers. */
  public void write(String name, Tensor value) {
    values.put(name, value);
  }

  /**
   * Leaves a loss that can be told only when the pass has ended: a weighted scalar with gradient,
   * from the reward of the pass's tokens (S17's policy gradient).
   */
  public void whenRewarded(Function<Reward, Tensor> loss) {
    learners.add(loss);
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
        learners.stream()
            .map(loss -> loss.apply(reward))
            .reduce(Tensor::add)
            .orElseThrow(() -> new MoeException("no router of this pass waits for a reward"));
    learners.clear();
    return sum;
  }
}

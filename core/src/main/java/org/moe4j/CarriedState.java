package org.moe4j;

import java.util.HashMap;
import java.util.Map;
import java.util.Optional;
import org.moe4j.tensor.Tensor;

/**
 * What one layer's router leaves for a later layer's in the same forward pass, for instance the
 * recurrent state of S55. One object belongs to one forward pass and is shared by its layers.
 */
public final class CarriedState {
  private final Map<String, Tensor> values = new HashMap<>();

  /** What an earlier layer left under this name. */
  public Optional<Tensor> read(String name) {
    return Optional.ofNullable(values.get(name));
  }

  /** Leaves {@code value} for later layers. */
  public void write(String name, Tensor value) {
    values.put(name, value);
  }
}

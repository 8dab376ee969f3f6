package org.moe4j;

import java.util.HashMap;
import java.util.Map;
import java.util.NavigableMap;
import java.util.Optional;
import java.util.TreeMap;
import org.moe4j.tensor.Tensor;

/**
 * What one layer's router leaves for a later layer's in the same forward pass, for instance the
 * recurrent state of S55. One object belongs to one forward pass and is shared by its layers.
 */
public final class CarriedState {
  private final Map<String, Tensor> values = new HashMap<>();
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

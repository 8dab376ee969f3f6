package org.moe4j.models.hf;

import java.util.Collection;
import java.util.Collections;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.UnaryOperator;
import org.moe4j.Parameter;
import org.moe4j.Role;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.Scope;
import org.moe4j.tensor.Tensor;

/**
 * Which tensor on disk is which part of which parameter: a whole one, a slice such as one expert's
 * gate projection of the stacked {@code w_in}, or several in one tensor.
 *
 * <pre>{@code
 * map.whole("norm.weight", norm);
 * map.part("experts.3.up.weight", wIn, w -> w.select(0, 3).narrow(0, h, h));
 * map.tensor("Wqkv.weight", 3 * d, d).rows(d, q).rows(d, k).rows(d, v);
 * map.tensor("fc1.weight", e, d, 2 * h).all(wIn, w -> w.transpose(1, 2));
 * }</pre>
 */
public final class WeightMap {
  private static final int SHOWN = 5;

  private final Map<String, DiskTensor> tensors = new LinkedHashMap<>();

  /** The disk tensor {@code name} is the whole parameter. */
  public void whole(String name, Parameter parameter) {
    part(name, parameter, UnaryOperator.identity());
  }

  /** The disk tensor {@code name} is a part of the parameter and has the view's shape. */
  public void part(String name, Parameter parameter, UnaryOperator<Tensor> view) {
    try (Scope scope = Scope.open()) {
      tensor(name, view.apply(parameter.tensor().detach()).shape()).all(parameter, view);
    }
  }

  /**
   * A disk tensor of the given shape, whose parts are named next: {@link DiskTensor#rows} for runs
   * of its rows, {@link DiskTensor#all} for a single part of another shape or order.
   */
  public DiskTensor tensor(String name, long... shape) {
    DiskTensor made = new DiskTensor(name, shape);
    if (tensors.put(name, made) != null) {
      throw new IllegalStateException("the disk name " + name + " is used twice");
    }
    return made;
  }

  /** All tensors by their names on disk. */
  public Map<String, DiskTensor> tensors() {
    return Collections.unmodifiableMap(tensors);
  }

  /** The tensors in order. */
  public List<DiskTensor> list() {
    return List.copyOf(tensors.values());
  }

  /**
   * Checks that filling the map's tensors fills every element of {@code parameters} once. State may
   * be left out: it keeps its first value.
   *
   * @throws MoeException if not, naming the parameters
   */
  void requireCovers(Collection<Parameter> parameters) {
    Map<String, Long> filled = new HashMap<>();
    for (DiskTensor t : tensors.values()) {
      t.requireWhole();
      t.parts().forEach(p -> filled.merge(p.parameter().name(), p.count(), Long::sum));
    }
    List<String> wrong =
        parameters.stream()
            .filter(p -> !(p.role() instanceof Role.State && !filled.containsKey(p.name())))
            .filter(p -> filled.getOrDefault(p.name(), 0L) != p.tensor().numel())
            .map(
                p ->
                    p.name()
                        + " ("
                        + filled.getOrDefault(p.name(), 0L)
                        + " of "
                        + p.tensor().numel()
                        + " elements)")
            .toList();
    if (!wrong.isEmpty()) {
      String more = wrong.size() > SHOWN ? ", ..." : "";
      throw new MoeException(
          "the checkpoint's layout does not hold "
              + wrong.size()
              + (wrong.size() == 1 ? " parameter: " : " parameters: ")
              + String.join(", ", wrong.subList(0, Math.min(SHOWN, wrong.size())))
              + more);
    }
  }
}

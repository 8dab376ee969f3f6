package org.moe4j.models.hf;

import java.util.Arrays;
import java.util.Collection;
import java.util.List;
import java.util.function.Predicate;
import java.util.stream.Collectors;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.NoGrad;
import org.moe4j.tensor.Safetensors;
import org.moe4j.tensor.Scope;
import org.moe4j.tensor.StoredTensor;
import org.moe4j.tensor.Tensor;

/** Fills a model's parameters from a checkpoint; all names and shapes are checked before any. */
final class WeightLoader {
  private static final int SHOWN = 5;

  private WeightLoader() {}

  /**
   * Reads every tensor of {@code map} from {@code from}.
   *
   * @param ignored names on disk that mean nothing to the model
   * @throws MoeException if tensors are missing, unexpected or of another shape
   */
  static void load(Safetensors from, WeightMap map, Predicate<String> ignored) {
    refuse(
        from,
        "missing",
        map.parts().keySet().stream().filter(n -> !from.names().contains(n)).toList());
    refuse(
        from,
        "unexpected",
        from.names().stream()
            .filter(n -> !map.parts().containsKey(n) && !ignored.test(n))
            .toList());
    for (WeightMap.Part part : map.list()) {
      checkShape(from, part);
    }
    for (WeightMap.Part part : map.list()) {
      try (Scope scope = Scope.open();
          NoGrad off = NoGrad.open()) {
        from.loadInto(part.name(), part.tensor());
      }
    }
  }

  private static void checkShape(Safetensors from, WeightMap.Part part) {
    try (Scope scope = Scope.open()) {
      StoredTensor stored = from.describe(part.name());
      Tensor wanted = part.tensor();
      if (!Arrays.equals(stored.sizes(), wanted.shape())) {
        throw new MoeException(
            from.path()
                + ": a checkpoint of another shape: tensor "
                + part.name()
                + " is "
                + stored.shape()
                + ", the configuration expects "
                + Arrays.toString(wanted.shape()));
      }
      if (wanted.dtype().isFloating() != stored.dtype().isFloating()) {
        throw new MoeException(
            from.path()
                + ": tensor "
                + part.name()
                + " is of type "
                + stored.dtype().label()
                + ", expected "
                + (wanted.dtype().isFloating() ? "a floating-point type" : wanted.dtype().label()));
      }
    }
  }

  private static void refuse(Safetensors from, String what, Collection<String> names) {
    if (names.isEmpty()) {
      return;
    }
    List<String> first = names.stream().limit(SHOWN).map(WeightLoader::shown).toList();
    String more = names.size() > SHOWN ? " ..." : "";
    throw new MoeException(
        from.path()
            + ": "
            + names.size()
            + (names.size() == 1 ? " tensor" : " tensors")
            + " "
            + what
            + ": "
            + first.stream().collect(Collectors.joining(", "))
            + more);
  }

  private static String shown(String name) {
    String line = name.replaceAll("\\p{Cntrl}", "?");
    return line.length() <= 120 ? line : line.substring(0, 120) + "...";
  }
}

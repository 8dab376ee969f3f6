package org.moe4j.models.hf;

import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.function.Predicate;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.StoredTensor;
import org.moe4j.tensor.StoredTensors;

/** Checks that a checkpoint holds the tensors of a model, before any memory is taken for it. */
final class StoredCheck {
  private static final int SHOWN = 5;

  private StoredCheck() {}

  /**
   * Compares names, shapes and types.
   *
   * @param ignored names on disk that mean nothing to the model
   * @throws MoeException naming tensors that are missing, unexpected or of another shape
   */
  static void check(
      StoredTensors from, List<SwitchNames.Entry> wanted, Predicate<String> ignored) {
    List<String> missing = new ArrayList<>();
    Set<String> known = new HashSet<>();
    for (SwitchNames.Entry entry : wanted) {
      known.add(entry.name());
      if (!from.names().contains(entry.name())) {
        missing.add(entry.name());
      }
    }
    refuse(from, "missing", missing);
    refuse(
        from,
        "unexpected",
        from.names().stream().filter(n -> !known.contains(n) && !ignored.test(n)).toList());
    for (SwitchNames.Entry entry : wanted) {
      StoredTensor stored = from.describe(entry.name());
      if (!stored.shape().equals(entry.shape())) {
        throw new MoeException(
            from.path()
                + ": tensor "
                + entry.name()
                + " is "
                + stored.shape()
                + ", beside the others it must be "
                + entry.shape());
      }
      if (!stored.dtype().isFloating()) {
        throw new MoeException(
            from.path()
                + ": tensor "
                + entry.name()
                + " is of type "
                + stored.dtype().label()
                + ", expected a floating-point type");
      }
    }
  }

  private static void refuse(StoredTensors from, String what, List<String> names) {
    if (!names.isEmpty()) {
      String shown = String.join(", ", names.stream().limit(SHOWN).map(StoredCheck::line).toList());
      throw new MoeException(
          from.path()
              + ": "
              + names.size()
              + (names.size() == 1 ? " tensor " : " tensors ")
              + what
              + ": "
              + shown
              + (names.size() > SHOWN ? " ..." : ""));
    }
  }

  private static String line(String name) {
    String line = name.replaceAll("\\p{Cntrl}", "?");
    return line.length() <= 120 ? line : line.substring(0, 120) + "...";
  }
}

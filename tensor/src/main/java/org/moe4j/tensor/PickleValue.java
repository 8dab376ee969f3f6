package org.moe4j.tensor;

import java.util.List;
import java.util.Map;

/** What a pickle of plain data holds. */
sealed interface PickleValue {
  /** Python's None. */
  enum Nothing implements PickleValue {
    NONE
  }

  /** True or False. */
  enum Bool implements PickleValue {
    FALSE,
    TRUE
  }

  record Int(long value) implements PickleValue {}

  record Real(double value) implements PickleValue {}

  record Text(String value) implements PickleValue {}

  record Tuple(List<PickleValue> items) implements PickleValue {}

  /** A list; it grows while the pickle is read. */
  record Items(List<PickleValue> items) implements PickleValue {}

  /** A dict or an OrderedDict; it grows while the pickle is read. */
  record Dict(Map<String, PickleValue> entries) implements PickleValue {}

  /** What the pickle's globals stand for, and what their calls make. */
  non-sealed interface Named extends PickleValue {}
}

package org.moe4j.train.config;

import java.util.Optional;
import org.moe4j.tensor.MoeException;

/** What the sections' constructors refuse. */
final class Check {
  private Check() {}

  /** Refuses {@code section} with {@code problem} unless {@code holds}. */
  static void that(boolean holds, String section, String problem) {
    if (!holds) {
      throw new MoeException("[" + section + "] " + problem);
    }
  }

  /** Refuses a record that holds a number out of its key's range, however it was made. */
  static void ranges(String section, Record config) {
    for (Field field : Field.of(config.getClass()).values()) {
      Object value =
          field.valueIn(config) instanceof Optional<?> o ? o.orElse(null) : field.valueIn(config);
      if (value != null && !Value.inRange(value, field.key())) {
        throw new MoeException(
            "[%s] %s = %s: %s is expected"
                .formatted(section, field.name(), value, field.expected()));
      }
    }
  }
}

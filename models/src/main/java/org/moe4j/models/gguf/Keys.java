package org.moe4j.models.gguf;

import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;

/** Metadata of a file, with an architecture's name before the keys of its own. */
final class Keys {
  private final Map<String, Object> values = new LinkedHashMap<>();
  private final String prefix;

  /** Of a file of this architecture. */
  Keys(String architecture) {
    this.prefix = architecture + ".";
    general("general.architecture", architecture);
  }

  /** A key of the architecture with a whole number. */
  Keys put(String key, long value) {
    return general(prefix + key, value);
  }

  /** A key of the architecture with a number. */
  Keys put(String key, double value) {
    return general(prefix + key, value);
  }

  /** A key of the architecture that is true or false. */
  Keys put(String key, boolean value) {
    return general(prefix + key, value);
  }

  /** A key of the architecture with a text. */
  Keys put(String key, String value) {
    return general(prefix + key, value);
  }

  /** A key by its whole name; a Long, Double, Boolean, String or a list of one of them. */
  Keys general(String key, Object value) {
    values.put(key, value);
    return this;
  }

  Map<String, Object> values() {
    return Collections.unmodifiableMap(values);
  }
}

package org.moe4j.engine.gguf;

import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.OptionalLong;
import org.jspecify.annotations.Nullable;
import org.moe4j.engine.EngineException;

/**
 * The key-value part of a GGUF file. Values are Long, Double, Boolean, String, or lists of one of
 * them as {@code long[]}, {@code double[]}, {@code boolean[]} and {@code String[]}.
 */
public final class Metadata {
  private final String file;
  private final Map<String, Object> values;

  /**
   * Metadata that was read from or is to be written to {@code file}.
   *
   * @param file for messages
   */
  public Metadata(String file, Map<String, Object> values) {
    this.file = file;
    this.values = Collections.unmodifiableMap(values);
  }

  /** Everything, in the file's order. */
  public Map<String, Object> values() {
    return values;
  }

  /** True if there is such a key. */
  public boolean has(String key) {
    return values.containsKey(key);
  }

  /** A text. */
  public Optional<String> text(String key) {
    return Optional.ofNullable(as(key, String.class, "a text"));
  }

  /** A whole number. */
  public OptionalLong whole(String key) {
    Long value = as(key, Long.class, "a whole number");
    return value == null ? OptionalLong.empty() : OptionalLong.of(value);
  }

  /** A number, whole or not. */
  public OptionalDouble number(String key) {
    if (values.get(key) instanceof Long whole) {
      return OptionalDouble.of(whole);
    }
    Double value = as(key, Double.class, "a number");
    return value == null ? OptionalDouble.empty() : OptionalDouble.of(value);
  }

  /** True or false. */
  public Optional<Boolean> flag(String key) {
    return Optional.ofNullable(as(key, Boolean.class, "true or false"));
  }

  /** Texts. */
  public Optional<List<String>> texts(String key) {
    return Optional.ofNullable(as(key, String[].class, "a list of texts")).map(Arrays::asList);
  }

  /** Whole numbers. */
  public Optional<long[]> wholes(String key) {
    return Optional.ofNullable(as(key, long[].class, "a list of whole numbers"));
  }

  /** Numbers. */
  public Optional<double[]> numbers(String key) {
    return Optional.ofNullable(as(key, double[].class, "a list of numbers"));
  }

  /**
   * A whole number that must be there and lie between {@code least} and {@code most}.
   *
   * @throws EngineException if it does not
   */
  public int require(String key, int least, int most) {
    long value = whole(key).orElseThrow(() -> missing(key));
    if (value < least || value > most) {
      throw new EngineException(
          file + ": " + key + " is " + value + ", expected " + least + " to " + most);
    }
    return (int) value;
  }

  /** The failure of a key that must be there. */
  public EngineException missing(String key) {
    return failure("the metadata has no " + key);
  }

  /** A failure of the file. */
  public EngineException failure(String what) {
    return new EngineException(file + ": " + what);
  }

  private <T> @Nullable T as(String key, Class<T> type, String wanted) {
    Object value = values.get(key);
    if (value != null && !type.isInstance(value)) {
      throw new EngineException(file + ": " + key + " is not " + wanted);
    }
    return type.cast(value);
  }
}

package org.moe4j.train.config;

import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import tools.jackson.databind.JsonNode;

/** Single values: from a node of the file, and in words. */
final class Value {
  private Value() {}

  /**
   * {@code node} as {@code type}, or empty when it is of another type or out of {@code key}'s
   * range.
   */
  static Optional<Object> of(JsonNode node, Class<?> type, Key key) {
    return typed(node, type).filter(value -> inRange(value, key));
  }

  private static Optional<Object> typed(JsonNode node, Class<?> type) {
    if (type == int.class || type == Integer.class) {
      return node.isIntegralNumber() && node.canConvertToInt()
          ? Optional.of(node.intValue())
          : Optional.empty();
    }
    if (type == long.class || type == Long.class) {
      return node.isIntegralNumber() && node.canConvertToLong()
          ? Optional.of(node.longValue())
          : Optional.empty();
    }
    if (type == double.class || type == Double.class) {
      return node.isNumber() ? Optional.of(node.doubleValue()) : Optional.empty();
    }
    if (type == boolean.class || type == Boolean.class) {
      return node.isBoolean() ? Optional.of(node.booleanValue()) : Optional.empty();
    }
    if (type == Path.class) {
      return node.isString() ? path(node.stringValue()) : Optional.empty();
    }
    if (type.isEnum()) {
      return constants(type).stream()
          .filter(c -> node.isString() && Names.kebab(c).equals(node.stringValue()))
          .findFirst()
          .map(c -> c);
    }
    if (type == String.class) {
      return node.isString() ? Optional.of(node.stringValue()) : Optional.empty();
    }
    throw new IllegalArgumentException("no TOML form for " + type);
  }

  private static Optional<Object> path(String text) {
    try {
      return text.isBlank() ? Optional.empty() : Optional.of(Path.of(text));
    } catch (InvalidPathException e) {
      return Optional.empty();
    }
  }

  /** Whether a number is within the bounds of {@code key}; other values are. */
  static boolean inRange(Object value, Key key) {
    if (!(value instanceof Number number)) {
      return true;
    }
    double d = number.doubleValue();
    return Double.isFinite(d)
        && d >= key.min()
        && d <= key.max()
        && d > key.above()
        && d < key.below();
  }

  /** Whether text without quotes can only be meant as a string for {@code type}. */
  static boolean isText(Class<?> type) {
    return type == String.class || type == Path.class || type.isEnum();
  }

  static String expected(Class<?> type, Key key) {
    if (type.isEnum()) {
      return "one of " + String.join(", ", constants(type).stream().map(Names::kebab).toList());
    }
    if (type == boolean.class || type == Boolean.class) {
      return "true or false";
    }
    if (type == String.class) {
      return "a text in quotes";
    }
    if (type == Path.class) {
      return "a path in quotes";
    }
    boolean whole = type != double.class && type != Double.class;
    return (whole ? "a whole number" : "a number") + range(key);
  }

  private static String range(Key key) {
    StringBuilder range = new StringBuilder();
    append(range, " of at least ", key.min());
    append(range, " above ", key.above());
    String and = range.isEmpty() ? "" : " and";
    append(range, and + " at most ", key.max());
    append(range, and + " below ", key.below());
    return range.toString();
  }

  private static void append(StringBuilder range, String words, double bound) {
    if (Double.isFinite(bound)) {
      range.append(words).append(bound == Math.rint(bound) ? Long.toString((long) bound) : bound);
    }
  }

  static List<Enum<?>> constants(Class<?> type) {
    return Arrays.stream(type.getEnumConstants()).<Enum<?>>map(c -> (Enum<?>) c).toList();
  }
}

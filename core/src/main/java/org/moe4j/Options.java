package org.moe4j;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.moe4j.tensor.MoeException;

/** The options of a router after checking: every known key with its given or default value. */
public final class Options {
  private final Map<String, Object> values;

  private Options(Map<String, Object> values) {
    this.values = values;
  }

  /**
   * Checks {@code given} against the keys.
   *
   * @param owner whose options these are, for messages: {@code router "switch"}
   * @throws MoeException for an unknown key (naming the nearest one) or a value of another type
   */
  public static Options check(String owner, List<OptionKey> keys, Map<String, ?> given) {
    Map<String, Object> values = new LinkedHashMap<>();
    keys.forEach(k -> values.put(k.key(), k.standard()));
    for (Map.Entry<String, ?> entry : given.entrySet()) {
      OptionKey key =
          keys.stream()
              .filter(k -> k.key().equals(entry.getKey()))
              .findFirst()
              .orElseThrow(() -> unknown(owner, keys, entry.getKey()));
      values.put(key.key(), coerce(owner, key, entry.getValue()));
    }
    return new Options(values);
  }

  private static MoeException unknown(String owner, List<OptionKey> keys, String key) {
    List<String> names = keys.stream().map(OptionKey::key).toList();
    return new MoeException(
        names.isEmpty()
            ? owner + " has no options, so not \"" + key + "\""
            : owner
                + " has no option \""
                + key
                + "\"; did you mean \""
                + Nearest.to(key, names)
                + "\"?");
  }

  private static Object coerce(String owner, OptionKey key, Object value) {
    String text = String.valueOf(value);
    try {
      return switch (key.standard()) {
        case Boolean b when text.equals("true") || text.equals("false") -> Boolean.valueOf(text);
        case Double d -> Double.valueOf(text);
        case Long l -> Long.valueOf(text);
        case String s when key.values().isEmpty() || key.values().contains(text) -> text;
        default -> throw wrong(owner, key, text);
      };
    } catch (NumberFormatException e) {
      throw wrong(owner, key, text);
    }
  }

  private static MoeException wrong(String owner, OptionKey key, String text) {
    String wanted =
        switch (key.standard()) {
          case Boolean b -> "true or false";
          case Double d -> "a number";
          case Long l -> "a whole number";
          default -> "one of " + String.join(", ", key.values());
        };
    return new MoeException(
        owner + ": option " + key.key() + " is \"" + text + "\"; give " + wanted);
  }

  /** True if the key is declared. */
  public boolean has(String key) {
    return values.containsKey(key);
  }

  private Object value(String key) {
    Object value = values.get(key);
    if (value == null) {
      throw new IllegalArgumentException("option " + key + " is not declared");
    }
    return value;
  }

  /** A number. */
  public double number(String key) {
    return (Double) value(key);
  }

  /**
   * A whole number.
   *
   * @throws MoeException if it is larger than any option can mean
   */
  public int whole(String key) {
    long value = (Long) value(key);
    if (value != (int) value) {
      throw new MoeException(key + " " + value + ": out of the range of whole numbers here");
    }
    return (int) value;
  }

  /** True or false. */
  public boolean flag(String key) {
    return (Boolean) value(key);
  }

  /** A word. */
  public String word(String key) {
    return (String) value(key);
  }

  /** The constant of {@code type} whose name in lower case with hyphens is the word. */
  public <E extends Enum<E>> E constant(String key, Class<E> type) {
    return Enum.valueOf(type, word(key).toUpperCase(Locale.ROOT).replace('-', '_'));
  }
}

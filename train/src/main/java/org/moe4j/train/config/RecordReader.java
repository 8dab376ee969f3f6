package org.moe4j.train.config;

import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Collectors;
import org.moe4j.tensor.MoeException;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.JsonNodeFactory;
import tools.jackson.databind.node.ObjectNode;
import tools.jackson.databind.node.POJONode;

/** A tree of TOML nodes to a record. */
final class RecordReader {
  private final String file;

  RecordReader(String file) {
    this.file = file;
  }

  <T extends Record> T read(ObjectNode tree, T defaults) {
    return read(tree, defaults, "", Field.of(defaults.getClass()));
  }

  private <T extends Record> T read(
      ObjectNode tree, T defaults, String section, Map<String, Field> root) {
    Map<String, Field> fields = Field.of(defaults.getClass());
    for (Map.Entry<String, JsonNode> entry : tree.properties()) {
      if (!fields.containsKey(entry.getKey())) {
        throw unknown(entry, section, fields, root);
      }
    }
    List<Object> values = new ArrayList<>();
    for (Field field : fields.values()) {
      JsonNode node = tree.get(field.name());
      Object fallback = field.valueIn(defaults);
      values.add(node == null ? fallback : value(node, field, fallback, section, root));
    }
    @SuppressWarnings("unchecked") // the class of a T
    Class<T> type = (Class<T>) defaults.getClass();
    try {
      return Field.construct(type, values);
    } catch (InvalidConfig e) {
      throw e;
    } catch (MoeException e) {
      throw new MoeException(file + ": " + e.getMessage(), e);
    }
  }

  private Object value(
      JsonNode node, Field field, Object fallback, String section, Map<String, Field> root) {
    if (field.isSection()) {
      String inner = section.isEmpty() ? field.name() : section + "." + field.name();
      return switch (node) {
        case ObjectNode table -> read(table, (Record) fallback, inner, root);
        default -> throw notATable(node, inner);
      };
    }
    if (field.is(Map.class)) {
      String inner = section.isEmpty() ? field.name() : section + "." + field.name();
      return switch (node) {
        case ObjectNode table -> freeTable(table, (Map<?, ?>) fallback);
        default -> throw notATable(node, inner);
      };
    }
    return leaf(node, field).orElseThrow(() -> refused(node, field, section));
  }

  private static Optional<Object> leaf(JsonNode node, Field field) {
    Optional<Assignment> override = override(node);
    boolean unset = override.isPresent() && override.get().text().isEmpty();
    if (field.is(Optional.class) && unset) {
      return Optional.of(Optional.empty());
    }
    JsonNode given = override.map(o -> valueOf(o, field)).orElse(node);
    if (field.is(List.class)) {
      return list(given, field);
    }
    Optional<Object> value = Value.of(given, field.valueType(), field.key());
    return field.is(Optional.class) ? value.map(Optional::of) : value;
  }

  private static Optional<Object> list(JsonNode given, Field field) {
    List<JsonNode> items = given.isArray() ? given.valueStream().toList() : List.of(given);
    List<Object> values =
        items.stream()
            .flatMap(item -> Value.of(item, field.valueType(), field.key()).stream())
            .toList();
    return values.size() == items.size() ? Optional.of(values) : Optional.empty();
  }

  /**
   * A name needs no quotes, even one that looks like a number; quotes and lists mean what they say.
   */
  private static JsonNode valueOf(Assignment override, Field field) {
    String text = override.text();
    boolean quoted = text.startsWith("\"") || text.startsWith("'");
    boolean list = field.is(List.class) && text.startsWith("[");
    return Value.isText(field.valueType()) && !quoted && !list
        ? JsonNodeFactory.instance.stringNode(text)
        : TomlText.value(text);
  }

  private static Map<String, String> freeTable(ObjectNode table, Map<?, ?> fallback) {
    Map<String, String> values = new LinkedHashMap<>();
    fallback.forEach((k, v) -> values.put(k.toString(), v.toString()));
    for (Map.Entry<String, JsonNode> entry : table.properties()) {
      Optional<Assignment> override = override(entry.getValue());
      JsonNode node = override.map(o -> TomlText.value(o.text())).orElse(entry.getValue());
      if (!node.isValueNode()) {
        throw new InvalidConfig("'" + entry.getKey() + "' must be a single value", override);
      }
      boolean verbatim = override.isPresent() && !node.isString();
      values.put(entry.getKey(), verbatim ? override.get().text() : node.asString());
    }
    return Collections.unmodifiableMap(values);
  }

  private static InvalidConfig refused(JsonNode node, Field field, String section) {
    String given =
        override(node).map(Assignment::text).orElse(node.isObject() ? "{...}" : node.toString());
    String near = field.valueType().isEnum() ? nearestConstant(given, field.valueType()) : "";
    return new InvalidConfig(
        "%s%s = %s: %s is expected%s"
            .formatted(inSection(section), field.name(), shortened(given), field.expected(), near),
        firstOverride(node));
  }

  private static String nearestConstant(String given, Class<?> type) {
    List<String> names = Value.constants(type).stream().map(Names::kebab).toList();
    return Names.nearest(given.replace("\"", ""), names)
        .map(name -> "; did you mean '" + name + "'?")
        .orElse("");
  }

  private static InvalidConfig notATable(JsonNode node, String section) {
    return new InvalidConfig(
        "[" + section + "] is a section: write its keys below a line [" + section + "]",
        override(node));
  }

  private static InvalidConfig unknown(
      Map.Entry<String, JsonNode> entry,
      String section,
      Map<String, Field> fields,
      Map<String, Field> root) {
    String name = entry.getKey();
    String missing =
        section.isEmpty()
            ? (entry.getValue().isObject()
                ? "no section [" + name + "]"
                : "no key '" + name + "' outside of a section")
            : "[" + section + "] has no key '" + name + "'";
    String hint =
        elsewhere(name, root)
            .or(
                () ->
                    Names.nearest(name, fields.keySet())
                        .map(near -> section.isEmpty() ? "[" + near + "]" : "'" + near + "'"))
            .map(near -> "; did you mean " + near + "?")
            .orElseGet(() -> "; known: " + String.join(", ", fields.keySet()));
    return new InvalidConfig(missing + hint, firstOverride(entry.getValue()));
  }

  /** The section that has exactly this key. */
  private static Optional<String> elsewhere(String name, Map<String, Field> root) {
    return root.values().stream()
        .filter(Field::isSection)
        .filter(f -> Field.of(f.component().getType().asSubclass(Record.class)).containsKey(name))
        .map(f -> "[" + f.name() + "] " + name)
        .findFirst();
  }

  private static Optional<Assignment> firstOverride(JsonNode node) {
    return override(node)
        .or(() -> node.valueStream().flatMap(n -> firstOverride(n).stream()).findFirst());
  }

  private static Optional<Assignment> override(JsonNode node) {
    return node instanceof POJONode pojo && pojo.getPojo() instanceof Assignment o
        ? Optional.of(o)
        : Optional.empty();
  }

  static String inSection(String section) {
    return section.isEmpty() ? "" : "[" + section + "] ";
  }

  private static String shortened(String text) {
    String line = text.lines().collect(Collectors.joining(" "));
    return line.length() <= 60 ? line : line.substring(0, 57) + "...";
  }
}

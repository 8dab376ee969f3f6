package org.moe4j.train.config;

import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Collectors;

/** A record to TOML with a comment on every key. */
final class RecordWriter {
  private static final int WIDTH = 98;

  private final StringBuilder out = new StringBuilder();

  private RecordWriter() {}

  static String write(Record config) {
    RecordWriter writer = new RecordWriter();
    writer.section(config, "");
    return writer.out.toString();
  }

  /** Plain keys first: in TOML a key after a sub-table's header belongs to the sub-table. */
  private void section(Record config, String path) {
    List<Field> fields = List.copyOf(Field.of(config.getClass()).values());
    for (Field field : fields) {
      if (!isTable(field)) {
        comment(describe(field));
        out.append(line(field, field.valueIn(config))).append('\n');
      }
    }
    for (Field field : fields) {
      if (isTable(field)) {
        String inner = path.isEmpty() ? field.name() : path + "." + field.name();
        out.append(out.isEmpty() ? "" : "\n");
        comment(field.key().doc());
        out.append('[').append(inner).append("]\n");
        switch (field.valueIn(config)) {
          case Record record -> section(record, inner);
          case Map<?, ?> map ->
              map.forEach((k, v) -> out.append(key(k)).append(" = ").append(toml(v)).append('\n'));
          case Object other -> throw new IllegalStateException("not a table: " + other);
        }
      }
    }
  }

  private static boolean isTable(Field field) {
    return field.isSection() || field.is(Map.class);
  }

  private static String describe(Field field) {
    String expected = field.expected();
    String unit = field.key().unit().isEmpty() ? "" : " (" + field.key().unit() + ")";
    return field.key().doc()
        + " "
        + expected.substring(0, 1).toUpperCase(Locale.ROOT)
        + expected.substring(1)
        + unit
        + (field.is(Optional.class) ? ", or not set." : ".");
  }

  private static String line(Field field, Object value) {
    return switch (value) {
      case Optional<?> o when o.isEmpty() -> "# " + field.name() + " =";
      case Optional<?> o -> field.name() + " = " + toml(o.get());
      default -> field.name() + " = " + toml(value);
    };
  }

  private static String toml(Object value) {
    return switch (value) {
      case String s -> quoted(s);
      case Path p -> quoted(p.toString());
      case Enum<?> e -> quoted(Names.kebab(e));
      case Double d -> d.toString().replace('E', 'e');
      case List<?> list ->
          list.stream().map(RecordWriter::toml).collect(Collectors.joining(", ", "[", "]"));
      default -> value.toString();
    };
  }

  private static String key(Object name) {
    return name.toString().matches("[A-Za-z0-9_-]+") ? name.toString() : quoted(name.toString());
  }

  private static String quoted(String text) {
    StringBuilder quoted = new StringBuilder("\"");
    text.chars()
        .forEach(
            c -> {
              switch (c) {
                case '"' -> quoted.append("\\\"");
                case '\\' -> quoted.append("\\\\");
                case '\n' -> quoted.append("\\n");
                case '\t' -> quoted.append("\\t");
                default -> quoted.append(c < ' ' || c == 0x7f ? "\\u%04x".formatted(c) : (char) c);
              }
            });
    return quoted.append('"').toString();
  }

  private void comment(String text) {
    StringBuilder line = new StringBuilder("#");
    for (String word : text.split(" ", -1)) {
      if (line.length() + 1 + word.length() > WIDTH) {
        out.append(line).append('\n');
        line = new StringBuilder("#");
      }
      line.append(' ').append(word);
    }
    out.append(line).append('\n');
  }
}

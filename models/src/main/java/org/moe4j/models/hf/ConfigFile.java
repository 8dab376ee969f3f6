package org.moe4j.models.hf;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.function.Supplier;
import org.moe4j.tensor.MoeException;
import tools.jackson.core.JacksonException;
import tools.jackson.core.StreamReadFeature;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/** The fields of a {@code config.json}; every complaint names the file and the field. */
final class ConfigFile {
  static final String NAME = "config.json";
  private static final long LARGEST = 16 << 20;
  private static final JsonMapper MAPPER =
      JsonMapper.builder().enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION).build();

  private final Path path;
  private final String inside;
  private final JsonNode root;

  private ConfigFile(Path path, String inside, JsonNode root) {
    this.path = path;
    this.inside = inside;
    this.root = root;
  }

  /**
   * Reads the {@code config.json} of a checkpoint folder.
   *
   * @throws MoeException if there is none or it is not a JSON object
   */
  static ConfigFile read(Path folder) {
    Path path = folder.resolve(NAME);
    if (!Files.isRegularFile(path)) {
      throw new MoeException(folder + " is no checkpoint folder: it has no " + NAME);
    }
    try {
      if (Files.size(path) > LARGEST) {
        throw new MoeException(path + ": over the limit of " + LARGEST + " bytes");
      }
      JsonNode root = MAPPER.readTree(Files.readAllBytes(path));
      if (!root.isObject()) {
        throw new MoeException(path + ": must be a JSON object");
      }
      return new ConfigFile(path, "", root);
    } catch (IOException e) {
      throw new MoeException("cannot read " + path + ": " + e, e);
    } catch (JacksonException e) {
      String why = e.getOriginalMessage().lines().findFirst().orElse("unreadable");
      throw new MoeException(path + ": not valid JSON: " + why, e);
    }
  }

  /** The objects in the list {@code name}. */
  List<ConfigFile> objects(String name) {
    JsonNode list = required(name);
    if (!list.isArray()) {
      throw failure(name + ": must be a list");
    }
    List<ConfigFile> all = new ArrayList<>();
    for (JsonNode node : list) {
      if (!node.isObject()) {
        throw failure(name + "[" + all.size() + "]: must be an object");
      }
      all.add(new ConfigFile(path, inside + name + "[" + all.size() + "].", node));
    }
    return all;
  }

  /** The field as a record or an enum constant. */
  <T> T as(String name, Class<T> type, JsonMapper mapper) {
    try {
      return mapper.readerFor(type).readValue(required(name));
    } catch (JacksonException e) {
      String why =
          e.getCause() instanceof MoeException own ? own.getMessage() : e.getOriginalMessage();
      throw failure(name + ": " + String.valueOf(why).lines().findFirst().orElse("unreadable"));
    }
  }

  /** The field as options: strings, numbers (whole ones as Long) and flags by name. */
  Map<String, Object> options(String name) {
    Map<String, Object> options = new LinkedHashMap<>();
    for (Map.Entry<String, JsonNode> entry : required(name).properties()) {
      JsonNode value = entry.getValue();
      options.put(entry.getKey(), plain(name + "." + entry.getKey(), value));
    }
    return options;
  }

  private Object plain(String name, JsonNode value) {
    if (value.isBoolean()) {
      return value.booleanValue();
    }
    if (value.isIntegralNumber() && value.canConvertToLong()) {
      return value.longValue();
    }
    if (value.isNumber()) {
      return value.doubleValue();
    }
    if (value.isString()) {
      return value.stringValue();
    }
    throw failure(name + " " + shown(value) + ": must be a string, a number or a flag");
  }

  /** What {@code make} gives; its complaints get the file's name in front. */
  <T> T checked(Supplier<T> make) {
    try {
      return make.get();
    } catch (MoeException e) {
      if (e.getMessage().startsWith(path.toString())) {
        throw e;
      }
      throw failure(e.getMessage());
    }
  }

  private Optional<JsonNode> find(String... aliases) {
    for (String alias : aliases) {
      JsonNode node = root.at("/" + alias);
      if (!node.isMissingNode() && !node.isNull()) {
        return Optional.of(node);
      }
    }
    return Optional.empty();
  }

  /** True if one of the fields is there and not null; {@code a/b} is field b of object a. */
  boolean has(String... aliases) {
    return find(aliases).isPresent();
  }

  private JsonNode required(String... aliases) {
    return find(aliases).orElseThrow(() -> failure(String.join(" / ", aliases) + " is missing"));
  }

  /** A whole number of at least 1 under the first alias that is there. */
  int positive(String... aliases) {
    JsonNode node = required(aliases);
    if (!node.isIntegralNumber() || !node.canConvertToInt() || node.intValue() < 1) {
      throw failure(aliases[0] + " " + shown(node) + ": must be a whole number of at least 1");
    }
    return node.intValue();
  }

  int positiveOr(int absent, String... aliases) {
    return has(aliases) ? positive(aliases) : absent;
  }

  /** A whole number of at least 0. */
  int natural(String name) {
    JsonNode node = required(name);
    if (!node.isIntegralNumber() || !node.canConvertToInt() || node.intValue() < 0) {
      throw failure(name + " " + shown(node) + ": must be a whole number of at least 0");
    }
    return node.intValue();
  }

  int naturalOr(int absent, String name) {
    return has(name) ? natural(name) : absent;
  }

  double number(String... aliases) {
    JsonNode node = required(aliases);
    if (!node.isNumber() || !Double.isFinite(node.doubleValue())) {
      throw failure(aliases[0] + " " + shown(node) + ": must be a number");
    }
    return node.doubleValue();
  }

  double numberOr(double absent, String... aliases) {
    return has(aliases) ? number(aliases) : absent;
  }

  boolean flagOr(boolean absent, String... aliases) {
    if (!has(aliases)) {
      return absent;
    }
    JsonNode node = required(aliases);
    if (!node.isBoolean()) {
      throw failure(aliases[0] + " " + shown(node) + ": must be true or false");
    }
    return node.booleanValue();
  }

  String text(String... aliases) {
    JsonNode node = required(aliases);
    if (!node.isString()) {
      throw failure(aliases[0] + " " + shown(node) + ": must be a string");
    }
    return node.stringValue();
  }

  String textOr(String absent, String... aliases) {
    return has(aliases) ? text(aliases) : absent;
  }

  /** The strings of a list; none if the field is absent. */
  List<String> texts(String name) {
    List<String> all = new ArrayList<>();
    for (JsonNode node : list(name)) {
      if (!node.isString()) {
        throw failure(name + " " + shown(node) + ": must be a string");
      }
      all.add(node.stringValue());
    }
    return all;
  }

  /** The numbers of a list under the first alias that is there. */
  List<Double> numbers(String... aliases) {
    required(aliases);
    List<Double> all = new ArrayList<>();
    for (JsonNode node : list(aliases)) {
      if (!node.isNumber() || !Double.isFinite(node.doubleValue())) {
        throw failure(aliases[0] + " " + shown(node) + ": must be numbers");
      }
      all.add(node.doubleValue());
    }
    return all;
  }

  /** The whole numbers of at least 0 of a list. */
  List<Integer> integerList(String name) {
    required(name);
    List<Integer> all = new ArrayList<>();
    for (JsonNode node : list(name)) {
      if (!node.isIntegralNumber() || !node.canConvertToInt() || node.intValue() < 0) {
        throw failure(name + " " + shown(node) + ": must be whole numbers of at least 0");
      }
      all.add(node.intValue());
    }
    return all;
  }

  /** A whole number of at least 1 for each layer, or one for all. */
  List<Integer> perLayer(String name, int layers) {
    if (!required(name).isArray()) {
      return Collections.nCopies(layers, positive(name));
    }
    List<Integer> all = integerList(name);
    if (all.contains(0)) {
      throw failure(name + " 0: must be whole numbers of at least 1");
    }
    if (all.size() != layers) {
      throw failure(name + " has " + all.size() + " entries for " + layers + " layers");
    }
    return all;
  }

  private Iterable<JsonNode> list(String... aliases) {
    Optional<JsonNode> node = find(aliases);
    if (node.isPresent() && !node.get().isArray()) {
      throw failure(aliases[0] + " " + shown(node.get()) + ": must be a list");
    }
    return node.isPresent() ? node.get() : List.of();
  }

  /** The object {@code name} as a configuration of its own. */
  ConfigFile within(String name) {
    JsonNode node = required(name);
    if (!node.isObject()) {
      throw failure(name + ": must be an object");
    }
    return new ConfigFile(path, inside + name + ".", node);
  }

  /** The numbers of a field that holds one, a list of them or nothing. */
  Set<Integer> integers(String name) {
    Set<Integer> found = new LinkedHashSet<>();
    find(name)
        .ifPresent(
            node -> {
              for (JsonNode n : node.isArray() ? node : MAPPER.createArrayNode().add(node)) {
                if (!n.canConvertToInt()) {
                  throw failure(name + " " + shown(node) + ": must be a whole number or several");
                }
                found.add(n.intValue());
              }
            });
    return found;
  }

  /** Refuses a field whose value is neither absent nor null nor {@code neutral}. */
  void refuseUnless(String name, String neutral) {
    find(name)
        .filter(node -> !shown(node).equals(neutral))
        .ifPresent(
            node -> {
              throw failure(name + " " + shown(node) + " is not supported");
            });
  }

  private static String shown(JsonNode node) {
    String text = node.isString() ? node.stringValue() : node.toString();
    String line = text.replaceAll("\\p{Cntrl}", "?");
    return line.length() <= 80 ? line : line.substring(0, 80) + "...";
  }

  MoeException failure(String problem) {
    return new MoeException(path + ": " + inside + problem);
  }
}

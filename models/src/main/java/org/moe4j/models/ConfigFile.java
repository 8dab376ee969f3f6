package org.moe4j.models;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashSet;
import java.util.Optional;
import java.util.Set;
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
  private final JsonNode root;

  private ConfigFile(Path path, JsonNode root) {
    this.path = path;
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
      return new ConfigFile(path, root);
    } catch (IOException e) {
      throw new MoeException("cannot read " + path + ": " + e, e);
    } catch (JacksonException e) {
      String why = e.getOriginalMessage().lines().findFirst().orElse("unreadable");
      throw new MoeException(path + ": not valid JSON: " + why, e);
    }
  }

  Path path() {
    return path;
  }

  JsonNode root() {
    return root;
  }

  private Optional<JsonNode> find(String... aliases) {
    for (String alias : aliases) {
      JsonNode node = root;
      for (String step : alias.split("\\.")) {
        node = node.path(step);
      }
      if (!node.isMissingNode() && !node.isNull()) {
        return Optional.of(node);
      }
    }
    return Optional.empty();
  }

  /** True if one of the fields is there and not null; {@code a.b} is field b of object a. */
  boolean has(String... aliases) {
    return find(aliases).isPresent();
  }

  private JsonNode required(String... aliases) {
    return find(aliases)
        .orElseThrow(() -> failure(String.join(" / ", aliases) + " is missing"));
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
    return new MoeException(path + ": " + problem);
  }
}

package org.moe4j.train;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Base64;
import java.util.HashSet;
import java.util.Set;
import java.util.function.Consumer;
import java.util.function.Predicate;
import org.moe4j.tensor.AtomicFile;
import org.moe4j.tensor.MoeException;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;

/** A JSON object of a file, whose fields have to be there and of the right type. */
record Json(Path file, JsonNode node) {
  private static final JsonMapper MAPPER = new JsonMapper();
  private static final long MAX_BYTES = 1 << 24;

  /** Writes an object as the whole of {@code file}. */
  static void write(Path file, Consumer<ObjectNode> content) {
    ObjectNode root = MAPPER.createObjectNode();
    content.accept(root);
    AtomicFile.write(file, MAPPER.writerWithDefaultPrettyPrinter().writeValueAsBytes(root));
  }

  static Json read(Path file) {
    try {
      if (Files.size(file) > MAX_BYTES) {
        throw new MoeException(file + ": too large for what it should be (over 16 MiB)");
      }
      JsonNode root = MAPPER.readTree(Files.readAllBytes(file));
      if (!root.isObject()) {
        throw new MoeException(file + ": damaged, a JSON object is expected");
      }
      return new Json(file, root);
    } catch (JacksonException e) {
      throw new MoeException(file + ": damaged, no valid JSON", e);
    } catch (IOException e) {
      throw new MoeException(file + ": cannot be read (" + e + ")", e);
    }
  }

  Json object(String field) {
    return new Json(file, field(field, "an object", JsonNode::isObject));
  }

  long whole(String field) {
    return field(field, "a whole number", JsonNode::canConvertToLong).longValue();
  }

  double number(String field) {
    return field(field, "a number", JsonNode::isNumber).doubleValue();
  }

  String text(String field) {
    return field(field, "a text", JsonNode::isString).stringValue();
  }

  byte[] bytes(String field) {
    try {
      return Base64.getDecoder().decode(text(field));
    } catch (IllegalArgumentException e) {
      throw new MoeException(file + ": damaged, " + field + " is not base64", e);
    }
  }

  /** The numbers of a field that holds one, a list of them, or nothing. */
  Set<Integer> wholes(String field) {
    JsonNode value = node.path(field);
    if (value.isMissingNode() || value.isNull()) {
      return Set.of();
    }
    Set<Integer> all = new HashSet<>();
    for (JsonNode one : value.isArray() ? value : MAPPER.createArrayNode().add(value)) {
      if (!one.isIntegralNumber() || !one.canConvertToInt()) {
        throw new MoeException(file + ": " + field + " is not a whole number or a list of them");
      }
      all.add(one.intValue());
    }
    return all;
  }

  private JsonNode field(String field, String expected, Predicate<JsonNode> type) {
    JsonNode value = node.path(field);
    if (!type.test(value)) {
      throw new MoeException(file + ": damaged, " + field + " is not " + expected);
    }
    return value;
  }
}

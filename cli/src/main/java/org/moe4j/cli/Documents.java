package org.moe4j.cli;

import java.io.PrintWriter;
import java.util.List;
import java.util.function.BiConsumer;
import java.util.function.Consumer;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/** The one JSON document that {@code --json} prints. */
final class Documents {
  private static final JsonMapper MAPPER = new JsonMapper();

  private Documents() {}

  /** Prints an object with the fields that {@code content} adds. */
  static void print(PrintWriter out, Consumer<ObjectNode> content) {
    ObjectNode root = MAPPER.createObjectNode();
    content.accept(root);
    out.println(MAPPER.writerWithDefaultPrettyPrinter().writeValueAsString(root));
  }

  /** Prints an array with an object for each item, which {@code content} fills. */
  static <T> void printArray(PrintWriter out, List<T> items, BiConsumer<T, ObjectNode> content) {
    ArrayNode root = MAPPER.createArrayNode();
    items.forEach(item -> content.accept(item, root.addObject()));
    out.println(MAPPER.writerWithDefaultPrettyPrinter().writeValueAsString(root));
  }
}

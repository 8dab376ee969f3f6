package org.moe4j.train.config;

import java.util.List;
import org.moe4j.tensor.MoeException;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/**
 * One {@code --set section.key=value}. Its text stays as it is until the type of the key is known:
 * {@code 5} is a number for one key and a name for another.
 */
record Assignment(List<String> path, String text) {
  static Assignment parse(String assignment) {
    int equals = assignment.indexOf('=');
    List<String> path =
        List.of(assignment.substring(0, Math.max(0, equals)).strip().split("\\.", -1));
    if (equals <= 0 || path.stream().anyMatch(String::isBlank)) {
      throw new MoeException(
          "--set "
              + assignment
              + ": the form section.key=value is expected, as in train.steps=100");
    }
    return new Assignment(path, assignment.substring(equals + 1).strip());
  }

  /** How messages name it. */
  String label() {
    return "--set " + String.join(".", path) + "=" + text;
  }

  void applyTo(ObjectNode tree) {
    ObjectNode section = tree;
    for (String name : path.subList(0, path.size() - 1)) {
      JsonNode inner = section.get(name);
      if (!(inner instanceof ObjectNode)) {
        inner = section.putObject(name);
      }
      section = (ObjectNode) inner;
    }
    section.putPOJO(path.getLast(), this);
  }
}

package org.moe4j.train.config;

import org.moe4j.tensor.MoeException;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;
import tools.jackson.dataformat.toml.TomlMapper;

/** TOML text to a tree of nodes. */
final class TomlText {
  private static final TomlMapper MAPPER = new TomlMapper();

  private TomlText() {}

  /** Syntax errors name the line; {@code name} stands for the file in them. */
  static ObjectNode parse(String text, String name) {
    try {
      return (ObjectNode) MAPPER.readTree(text);
    } catch (JacksonException e) {
      int line = e.getLocation() == null ? 0 : e.getLocation().getLineNr();
      String problem = e.getOriginalMessage().lines().findFirst().orElse("not TOML");
      throw new MoeException(name + (line > 0 ? ", line " + line : "") + ": " + problem, e);
    } catch (StackOverflowError e) {
      throw new MoeException(name + ": nested too deeply for a configuration file", e);
    }
  }

  /**
   * The value that {@code text} writes; what is not a TOML value is a string without its quotes.
   */
  static JsonNode value(String text) {
    try {
      return parse("v = " + text, "value").get("v");
    } catch (MoeException e) {
      return MAPPER.getNodeFactory().stringNode(text);
    }
  }
}

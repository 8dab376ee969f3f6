package org.moe4j.train.report;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.OptionalDouble;
import org.moe4j.tensor.MoeException;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.JsonNodeFactory;
import tools.jackson.dataformat.toml.TomlMapper;

/**
 * What is there of a run. A file that is missing or damaged takes nothing from the others; the
 * notes say what that is.
 *
 * @param name the folder's name
 * @param config the text of config.toml
 * @param metrics empty if there are none
 * @param summary the object in summary.json; an empty one if there is none
 * @param routing what routing.json holds
 * @param notes for the reader, a sentence each
 */
record RunFolder(
    String name,
    Optional<String> config,
    Metrics metrics,
    JsonNode summary,
    Optional<RoutingTable> routing,
    List<String> notes) {
  private static final JsonMapper JSON = new JsonMapper();

  /**
   * Reads {@code folder}.
   *
   * @throws MoeException when it is no folder or has none of the files of a run
   */
  static RunFolder read(Path folder) {
    if (!Files.isDirectory(folder)) {
      throw new MoeException(folder + ": no such run folder; give the folder that moe train wrote");
    }
    Path config = folder.resolve("config.toml");
    Path metrics = folder.resolve("metrics.jsonl");
    Path summary = folder.resolve("summary.json");
    Path routing = folder.resolve("routing.json");
    if (List.of(config, metrics, summary, routing).stream().noneMatch(Files::exists)) {
      throw new MoeException(
          folder
              + ": not the folder of a run, it has neither config.toml nor metrics.jsonl; give the"
              + " folder that moe train wrote");
    }
    List<String> notes = new ArrayList<>();
    return new RunFolder(
        String.valueOf(folder.toAbsolutePath().normalize().getFileName()),
        part(config, RunFolder::text, notes),
        part(metrics, Metrics::read, notes).orElseGet(Metrics::new),
        part(summary, RunFolder::object, notes).orElseGet(JsonNodeFactory.instance::objectNode),
        part(routing, RoutingTable::read, notes),
        notes);
  }

  private interface Reader<T> {
    T read(Path file) throws IOException;
  }

  private static <T> Optional<T> part(Path file, Reader<T> reader, List<String> notes) {
    if (!Files.exists(file)) {
      return Optional.empty();
    }
    try {
      return Optional.of(reader.read(file));
    } catch (IOException | JacksonException | MoeException | StackOverflowError e) {
      notes.add(file.getFileName() + " cannot be read, so what it holds is left out.");
      return Optional.empty();
    }
  }

  /** Bytes that are not UTF-8 become replacement characters: the text is for reading only. */
  private static String text(Path file) throws IOException {
    return new String(Files.readAllBytes(file), StandardCharsets.UTF_8);
  }

  private static JsonNode object(Path file) throws IOException {
    JsonNode tree = JSON.readTree(text(file));
    if (!tree.isObject()) {
      throw new MoeException(file + ": not a JSON object");
    }
    return tree;
  }

  /** A number of the summary. */
  OptionalDouble number(String key) {
    JsonNode value = summary.path(key);
    return value.isNumber() && Double.isFinite(value.doubleValue())
        ? OptionalDouble.of(value.doubleValue())
        : OptionalDouble.empty();
  }

  /** Whether the run came to its end. */
  boolean finished() {
    return !summary.isEmpty();
  }

  /** The steps that the configuration asks for. */
  OptionalDouble plannedSteps() {
    try {
      JsonNode steps = new TomlMapper().readTree(config.orElse("")).path("train").path("steps");
      return steps.isNumber() ? OptionalDouble.of(steps.doubleValue()) : OptionalDouble.empty();
    } catch (JacksonException | StackOverflowError e) {
      return OptionalDouble.empty();
    }
  }
}

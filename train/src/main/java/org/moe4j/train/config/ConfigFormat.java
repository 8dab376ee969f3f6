package org.moe4j.train.config;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.moe4j.tensor.MoeException;
import tools.jackson.databind.node.ObjectNode;

/**
 * Reads a record from TOML and writes it back with every key documented.
 *
 * <p>The record's components are the keys. Supported: {@code int}, {@code long}, {@code double},
 * {@code boolean}, strings, paths, enums (kebab case), records (sections), and of these {@code
 * List} (a lone value counts as a list of one), {@code Optional} and {@code Map<String, String>} (a
 * free table). Every component carries a {@link Key}. What the file leaves out keeps the value of
 * the record given as default, so an {@code Optional} has to be empty there.
 *
 * <p>Whatever is wrong ends in a {@link MoeException} that names the file, the section and the key,
 * and what is expected: unknown keys (with the nearest known one), wrong types, values out of
 * range, and what the records' own constructors refuse.
 *
 * @param <T> the record
 */
public final class ConfigFormat<T extends Record> {
  /** No configuration written by a person comes near this. */
  private static final long MAX_BYTES = 1 << 20;

  private final T defaults;

  /** A format for the type of {@code defaults}. */
  public ConfigFormat(T defaults) {
    this.defaults = defaults;
  }

  /**
   * Reads {@code file}; then {@code overrides} of the form {@code section.key=value} replace what
   * it says, the last one of a key winning. Values are written as in TOML; strings may go without
   * quotes, and an empty value unsets an optional key.
   */
  public T read(Path file, List<String> overrides) {
    return parse(text(file), file.toString(), overrides);
  }

  /** Like {@link #read} for the text of a file; {@code name} stands for it in messages. */
  public T parse(String text, String name, List<String> overrides) {
    ObjectNode tree = TomlText.parse(text, name);
    overrides.forEach(override -> Assignment.parse(override).applyTo(tree));
    try {
      return new RecordReader(name).read(tree, defaults);
    } catch (InvalidConfig e) {
      throw new MoeException(e.where(name) + ": " + e.getMessage(), e);
    }
  }

  /** The whole of {@code config} as TOML, each key after a comment on its meaning and values. */
  public String write(T config) {
    return RecordWriter.write(config);
  }

  private static String text(Path file) {
    try {
      if (!Files.exists(file)) {
        throw new MoeException(file + ": no such configuration file");
      }
      if (!Files.isRegularFile(file)) {
        throw new MoeException(file + ": not a file; name a TOML configuration file");
      }
      if (Files.size(file) > MAX_BYTES) {
        throw new MoeException(file + ": too large for a configuration file (over 1 MiB)");
      }
      return StandardCharsets.UTF_8
          .newDecoder()
          .decode(ByteBuffer.wrap(Files.readAllBytes(file)))
          .toString();
    } catch (CharacterCodingException e) {
      throw new MoeException(file + ": not UTF-8 text; save the file as UTF-8", e);
    } catch (IOException e) {
      throw new MoeException(file + ": cannot be read (" + e.getMessage() + ")", e);
    }
  }
}

package org.moe4j.train.metrics;

import java.io.BufferedReader;
import java.io.Closeable;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.OutputStreamWriter;
import java.io.Writer;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;
import org.moe4j.tensor.MoeException;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/**
 * Metrics as JSON lines: one object a line, {@code step} first. A line is in the file when {@link
 * #write} returns, so a killed run loses none but the one being written.
 *
 * <p>JSON has no infinities and no NaN; they become {@code null}.
 */
public final class MetricsWriter implements Closeable {
  private static final JsonMapper JSON = new JsonMapper();

  private final Path file;
  private final FileChannel channel;

  private MetricsWriter(Path file, FileChannel channel) {
    this.file = file;
    this.channel = channel;
  }

  /**
   * Opens {@code file} to go on after step {@code resumeStep}: what is there of later steps is
   * dropped, because they will be run again, and so is a line that a kill has left incomplete. A
   * run from the beginning resumes at -1.
   *
   * @throws MoeException when the file cannot be read or written
   */
  public static MetricsWriter open(Path file, long resumeStep) {
    try {
      if (Files.exists(file)) {
        cut(file, resumeStep);
      }
      return new MetricsWriter(
          file,
          FileChannel.open(
              file,
              StandardOpenOption.CREATE,
              StandardOpenOption.WRITE,
              StandardOpenOption.APPEND));
    } catch (IOException e) {
      throw unwritable(file, e);
    }
  }

  /** Appends one line. Values are numbers, strings, booleans, and lists or maps of these. */
  public void write(long step, Map<String, ?> values) {
    Map<String, @Nullable Object> line = new LinkedHashMap<>();
    line.put("step", step);
    values.forEach((name, value) -> line.put(name, finite(value)));
    ByteBuffer bytes =
        ByteBuffer.wrap((JSON.writeValueAsString(line) + "\n").getBytes(StandardCharsets.UTF_8));
    try {
      while (bytes.hasRemaining()) {
        channel.write(bytes);
      }
    } catch (IOException e) {
      throw unwritable(file, e);
    }
  }

  /** The objects of {@code file} in order, without a line that a kill has left incomplete. */
  public static List<JsonNode> read(Path file) {
    List<JsonNode> objects = new ArrayList<>();
    forEach(file, objects::add);
    return objects;
  }

  /** Hands out what {@link #read} returns one by one, for files of any length. */
  public static void forEach(Path file, Consumer<JsonNode> action) {
    try (BufferedReader lines = reader(file)) {
      for (String line = lines.readLine(); line != null; line = lines.readLine()) {
        parsed(line).ifPresent(action);
      }
    } catch (IOException e) {
      throw new MoeException(file + ": metrics cannot be read (" + e.getMessage() + ")", e);
    }
  }

  /** Rewrites {@code file} without the lines after {@code resumeStep}. */
  private static void cut(Path file, long resumeStep) throws IOException {
    Path kept = file.resolveSibling(file.getFileName() + ".tmp");
    try (BufferedReader lines = reader(file);
        FileOutputStream out = new FileOutputStream(kept.toFile());
        Writer writer = new OutputStreamWriter(out, StandardCharsets.UTF_8)) {
      for (String line = lines.readLine(); line != null; line = lines.readLine()) {
        Optional<JsonNode> step = parsed(line).map(object -> object.path("step"));
        if (step.filter(s -> s.isIntegralNumber() && s.longValue() <= resumeStep).isPresent()) {
          writer.write(line + "\n");
        }
      }
      writer.flush();
      out.getFD().sync();
    }
    Files.move(kept, file, StandardCopyOption.REPLACE_EXISTING, StandardCopyOption.ATOMIC_MOVE);
  }

  /** Bytes that are not UTF-8, as a crash of the machine may leave them, do not stop it. */
  private static BufferedReader reader(Path file) throws IOException {
    return new BufferedReader(
        new InputStreamReader(Files.newInputStream(file), StandardCharsets.UTF_8));
  }

  private static Optional<JsonNode> parsed(String line) {
    try {
      return Optional.of(JSON.readTree(line)).filter(JsonNode::isObject);
    } catch (JacksonException e) {
      return Optional.empty();
    }
  }

  private static @Nullable Object finite(Object value) {
    return switch (value) {
      case Double d when !Double.isFinite(d) -> null;
      case Float f when !Float.isFinite(f) -> null;
      case List<?> list -> list.stream().map(MetricsWriter::finite).toList();
      case Map<?, ?> map -> {
        Map<Object, @Nullable Object> inner = new LinkedHashMap<>();
        map.forEach((k, v) -> inner.put(k, finite(v)));
        yield inner;
      }
      default -> value;
    };
  }

  private static MoeException unwritable(Path file, IOException e) {
    return new MoeException(
        file + ": metrics cannot be written (" + e.getMessage() + "); free space or check rights",
        e);
  }

  @Override
  public void close() {
    try {
      channel.close();
    } catch (IOException e) {
      throw unwritable(file, e);
    }
  }
}

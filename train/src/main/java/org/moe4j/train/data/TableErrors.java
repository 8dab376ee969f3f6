package org.moe4j.train.data;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.sql.SQLException;
import java.util.Locale;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.zip.GZIPInputStream;
import org.moe4j.tensor.MoeException;
import tools.jackson.core.JacksonException;
import tools.jackson.core.JsonParser;
import tools.jackson.core.JsonToken;
import tools.jackson.core.ObjectReadContext;
import tools.jackson.core.json.JsonFactory;

/** Turns DuckDB's errors into one line that names the file and the place. */
final class TableErrors {
  private static final JsonFactory JSON = new JsonFactory();

  private TableErrors() {}

  /**
   * The error of reading {@code file}. DuckDB's own line numbers of JSON are off by one at times
   * and it gives no byte offsets, so a file that failed is looked at once more.
   */
  static MoeException locate(Path file, TableFormat format, SQLException error) {
    boolean readable = !file.toString().toLowerCase(Locale.ROOT).endsWith(".zst");
    if (readable && format != TableFormat.PARQUET) {
      try {
        OptionalLong invalid = firstInvalid(file);
        if (invalid.isPresent()) {
          return Utf8.invalid(file, invalid.getAsLong());
        }
        Optional<String> line =
            format == TableFormat.JSON_LINES ? firstBadLine(file) : Optional.empty();
        if (line.isPresent()) {
          return new MoeException(file + ": " + line.get(), error);
        }
      } catch (IOException e) {
        return new MoeException(file + ": cannot be read: " + e.getMessage(), e);
      }
    }
    return new MoeException(file + ": cannot be read: " + firstLine(error), error);
  }

  /** The first line of DuckDB's message, without the wrapping of its driver. */
  static String firstLine(SQLException error) {
    String message = String.valueOf(error.getMessage());
    int wrapped = message.startsWith("Invalid Input Error: Attempting") ? message.indexOf('\n') : -1;
    String inner = message.substring(wrapped + 1);
    if (inner.startsWith("Error: ")) {
      inner = inner.substring("Error: ".length());
    }
    return inner.lines().findFirst().orElse(error.toString()).strip();
  }

  private static OptionalLong firstInvalid(Path file) throws IOException {
    try (InputStream in = open(file)) {
      return Utf8.firstInvalid(in);
    }
  }

  private static Optional<String> firstBadLine(Path file) throws IOException {
    try (BufferedReader in =
        new BufferedReader(new InputStreamReader(open(file), StandardCharsets.UTF_8))) {
      long number = 0;
      for (String line = in.readLine(); line != null; line = in.readLine()) {
        number++;
        Optional<String> fault = line.isBlank() ? Optional.empty() : fault(line);
        if (fault.isPresent()) {
          return Optional.of("line " + number + " " + fault.get());
        }
      }
    }
    return Optional.empty();
  }

  private static Optional<String> fault(String line) {
    try (JsonParser parser = JSON.createParser(ObjectReadContext.empty(), line)) {
      if (parser.nextToken() != JsonToken.START_OBJECT) {
        return Optional.of("is not a JSON object; each line must be {\"field\": value, ...}");
      }
      parser.skipChildren();
      return parser.nextToken() == null
          ? Optional.empty()
          : Optional.of("holds more than one JSON value; put each on its own line");
    } catch (JacksonException e) {
      return Optional.of(
          "is malformed JSON: %s; correct or remove it"
              .formatted(e.getOriginalMessage().lines().findFirst().orElse("syntax error")));
    }
  }

  private static InputStream open(Path file) throws IOException {
    InputStream in = Files.newInputStream(file);
    return file.toString().toLowerCase(Locale.ROOT).endsWith(".gz") ? new GZIPInputStream(in) : in;
  }
}

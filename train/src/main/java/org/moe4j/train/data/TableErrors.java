package org.moe4j.train.data;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.sql.SQLException;
import java.util.List;
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
    boolean readable = !hasSuffix(file, ".zst");
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

  static boolean isCompressed(Path file) {
    return hasSuffix(file, ".gz") || hasSuffix(file, ".zst");
  }

  private static boolean hasSuffix(Path file, String suffix) {
    return file.toString().toLowerCase(Locale.ROOT).endsWith(suffix);
  }

  /** The first line of DuckDB's message, without the wrapping of its driver. */
  static String firstLine(SQLException error) {
    String message = String.valueOf(error.getMessage());
    boolean isWrapped = message.startsWith("Invalid Input Error: Attempting");
    int wrapped = isWrapped ? message.indexOf('\n') : -1;
    List<String> lines = message.substring(wrapped + 1).strip().lines().toList();
    if (lines.isEmpty()) {
      return error.toString();
    }
    String first = lines.getFirst().replaceFirst("^(Error: )?(Invalid Input Error: )?", "");
    if (!first.startsWith("CSV Error") && !first.startsWith("Error when sniffing")) {
      // The line numbers of JSON are not to be trusted.
      return first.replaceFirst(", at byte \\d+ in line \\d+", "").strip();
    }
    // Of CSV the first line has the place, and the reason is behind the line's text.
    return lines.stream()
        .skip(1)
        .filter(line -> !line.startsWith("Original Line"))
        .findFirst()
        .map(reason -> first + " " + reason)
        .orElse(first);
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
      int depth = 1;
      for (JsonToken token = parser.nextToken(); token != null; token = parser.nextToken()) {
        if (depth == 0) {
          return Optional.of("holds more than one JSON value; put each on its own line");
        }
        depth += token.isStructStart() ? 1 : token.isStructEnd() ? -1 : 0;
        if (token == JsonToken.VALUE_STRING && hasHalfAPair(parser.getString())) {
          return Optional.of("has half of a surrogate pair as \\u escape; correct or remove it");
        }
      }
      return Optional.empty();
    } catch (JacksonException e) {
      return Optional.of(
          "is malformed JSON: %s; correct or remove it"
              .formatted(e.getOriginalMessage().lines().findFirst().orElse("syntax error")));
    }
  }

  private static boolean hasHalfAPair(String text) {
    return text.codePoints()
        .anyMatch(c -> c >= Character.MIN_SURROGATE && c <= Character.MAX_SURROGATE);
  }

  private static InputStream open(Path file) throws IOException {
    InputStream in = Files.newInputStream(file);
    return hasSuffix(file, ".gz") ? new GZIPInputStream(in) : in;
  }
}

package org.moe4j.train.data;

import java.nio.file.Path;
import java.util.Locale;
import java.util.Optional;

/** The tables that DuckDB reads, told apart by a file's name. */
enum TableFormat {
  JSON_LINES,
  JSON,
  CSV,
  TSV,
  PARQUET;

  /** A record may be as long as this; DuckDB's own limits are 16 MB of JSON and 2 MB of CSV. */
  private static final long LONGEST_RECORD = 64L << 20;

  private static final long SHORTEST_LIMIT = 2L << 20;

  static Optional<TableFormat> of(Path file) {
    String name = file.getFileName().toString().toLowerCase(Locale.ROOT);
    boolean compressed = name.endsWith(".gz") || name.endsWith(".zst");
    String plain = compressed ? name.substring(0, name.lastIndexOf('.')) : name;
    String extension = plain.substring(plain.lastIndexOf('.') + 1);
    return switch (extension) {
      case "jsonl", "ndjson" -> Optional.of(JSON_LINES);
      case "json" -> Optional.of(JSON);
      case "csv" -> Optional.of(CSV);
      case "tsv" -> Optional.of(TSV);
      case "parquet" -> compressed ? Optional.empty() : Optional.of(PARQUET);
      default -> Optional.empty();
    };
  }

  /**
   * The table function that reads {@code file}, a quoted SQL string. Every value of a text table
   * stays the text it is: nothing is taken for a date or a number.
   *
   * @param columns of JSON, those to read, as in {@code {'text': 'VARCHAR'}}; found out if empty
   * @param fileSize in bytes, where the records cannot be longer
   */
  String scan(String file, Optional<String> columns, long fileSize) {
    long limit = Math.clamp(fileSize, SHORTEST_LIMIT, LONGEST_RECORD);
    return switch (this) {
      case JSON_LINES -> json(file, "newline_delimited", columns, limit);
      case JSON -> json(file, "auto", columns, limit);
      case CSV -> csv(file, "','", limit);
      case TSV -> csv(file, "'\\t'", limit);
      case PARQUET -> "read_parquet(" + file + ")";
    };
  }

  private static String json(String file, String format, Optional<String> columns, long limit) {
    // Many different keys are still a record, not a map; the values' types are not looked for.
    return "read_json(%s, format='%s', records='true', map_inference_threshold=-1, maximum_depth=1"
            .formatted(file, format)
        + ", maximum_object_size=%d%s)"
            .formatted(limit, columns.map(list -> ", columns=" + list).orElse(""));
  }

  // Left to itself the sniffer drops leading rows that do not fit the others.
  private static String csv(String file, String delimiter, long limit) {
    return "read_csv(%s, delim=%s, quote='\"', escape='\"', header=true, skip=0, all_varchar=true"
            .formatted(file, delimiter)
        + ", max_line_size=%d, buffer_size=%d)".formatted(limit, 2 * limit);
  }
}

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

  private static final String RECORDS = ", records='true'";

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
   */
  String scan(String file) {
    return switch (this) {
      case JSON_LINES -> "read_json(" + file + ", format='newline_delimited'" + RECORDS + ")";
      case JSON -> "read_json(" + file + RECORDS + ")";
      case CSV -> csv(file, "','");
      case TSV -> csv(file, "'\\t'");
      case PARQUET -> "read_parquet(" + file + ")";
    };
  }

  /** The same, when the {@code columns} to read are known: {@code {'text': 'VARCHAR'}}. */
  String scan(String file, String columns) {
    return switch (this) {
      case JSON_LINES ->
          "read_json(" + file + ", format='newline_delimited'" + RECORDS + ", columns=" + columns + ")";
      case JSON -> "read_json(" + file + RECORDS + ", columns=" + columns + ")";
      case CSV, TSV, PARQUET -> scan(file);
    };
  }

  // Left to itself the sniffer drops leading rows that do not fit the others.
  private static String csv(String file, String delimiter) {
    return "read_csv(%s, delim=%s, quote='\"', escape='\"', header=true, skip=0, all_varchar=true)"
        .formatted(file, delimiter);
  }
}

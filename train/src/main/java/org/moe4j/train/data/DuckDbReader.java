package org.moe4j.train.data;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Properties;
import org.jspecify.annotations.Nullable;
import org.moe4j.tensor.MoeException;

/** Tables and queries through an in-memory DuckDB, which is opened at the first use. */
final class DuckDbReader implements AutoCloseable {
  private @Nullable Connection connection;

  void readFile(
      Path file, TableFormat format, Fields fields, Optional<String> domain, DocumentSink sink) {
    String literal = quote(escapeGlob(file.toString()), '\'');
    try {
      boolean compressed = TableErrors.isCompressed(file);
      long size = compressed ? Long.MAX_VALUE : Files.size(file);
      List<String> present = fieldsOf(format.scan(literal, Optional.empty(), size));
      column(file.toString(), "text", fields.text(), present);
      String columns = quote(fields.text(), '"');
      if (fields.domain().isPresent()) {
        column(file.toString(), "domain", fields.domain().get(), present);
        columns += ", " + quote(fields.domain().get(), '"');
      }
      String scan = format.scan(literal, Optional.of(jsonColumns(fields)), size);
      int label = fields.domain().isPresent() ? 2 : 0;
      readRows("SELECT " + columns + " FROM " + scan, 1, label, domain, sink);
    } catch (SQLException e) {
      throw TableErrors.locate(file, format, e);
    } catch (IOException e) {
      throw new MoeException(file + ": cannot be read: " + e.getMessage(), e);
    }
  }

  /** The names of a table's fields, in its order. */
  List<String> fields(Path file, TableFormat format) {
    try {
      long size = TableErrors.isCompressed(file) ? Long.MAX_VALUE : Files.size(file);
      String literal = quote(escapeGlob(file.toString()), '\'');
      return fieldsOf(format.scan(literal, Optional.empty(), size));
    } catch (SQLException e) {
      throw TableErrors.locate(file, format, e);
    } catch (IOException e) {
      throw new MoeException(file + ": cannot be read: " + e.getMessage(), e);
    }
  }

  void readQuery(String query, Fields fields, DocumentSink sink) {
    try {
      // As a subquery only a SELECT is accepted: a query that writes by mistake ends here.
      List<String> present = fieldsOf("(" + query + "\n)");
      int text = column("the query", "text", fields.text(), present);
      int label =
          fields.domain().isPresent()
              ? column("the query", "domain", fields.domain().get(), present)
              : 0;
      readRows(query, text, label, Optional.empty(), sink);
    } catch (SQLException e) {
      throw new MoeException("the SQL query fails: " + TableErrors.firstLine(e), e);
    }
  }

  /** Reads column {@code text} (from 1) and, unless it is 0, column {@code label}. */
  private void readRows(
      String query, int text, int label, Optional<String> domain, DocumentSink sink)
      throws SQLException {
    try (Statement statement = open().createStatement();
        ResultSet rows = statement.executeQuery(query)) {
      while (rows.next()) {
        String value = label == 0 ? null : rows.getString(label);
        sink.accept(rows.getString(text), value == null ? domain : Optional.of(value));
      }
    }
  }

  private List<String> fieldsOf(String relation) throws SQLException {
    List<String> present = new ArrayList<>();
    try (Statement statement = open().createStatement();
        ResultSet rows = statement.executeQuery("DESCRIBE SELECT * FROM " + relation)) {
      while (rows.next()) {
        present.add(rows.getString(1));
      }
    }
    return present;
  }

  /** The number of a field, from 1; fails with the fields that are there when it is not. */
  private static int column(String where, String role, String field, List<String> present) {
    int index = present.indexOf(field);
    if (index < 0) {
      throw new MoeException(
          "%s: no %s field \"%s\"; its fields are %s%s"
              .formatted(
                  where,
                  role,
                  field,
                  String.join(", ", present),
                  Nearest.suggestion(field, present)));
    }
    return index + 1;
  }

  private Connection open() throws SQLException {
    if (connection == null) {
      Properties settings = new Properties();
      settings.setProperty("jdbc_stream_results", "true");
      settings.setProperty("memory_limit", "2GB");
      settings.setProperty("threads", "2");
      settings.setProperty("temp_directory", "");
      settings.setProperty("autoinstall_known_extensions", "false");
      connection = DriverManager.getConnection("jdbc:duckdb:", settings);
    }
    return connection;
  }

  private static String jsonColumns(Fields fields) {
    StringBuilder columns = new StringBuilder("{" + quote(fields.text(), '\'') + ": 'VARCHAR'");
    fields
        .domain()
        .filter(domain -> !domain.equals(fields.text()))
        .ifPresent(
            domain -> columns.append(", ").append(quote(domain, '\'')).append(": 'VARCHAR'"));
    return columns.append('}').toString();
  }

  private static String quote(String text, char quote) {
    String mark = String.valueOf(quote);
    return mark + text.replace(mark, mark + mark) + mark;
  }

  /** DuckDB takes a path for a pattern; a class of one character stands for itself. */
  private static String escapeGlob(String path) {
    return path.replaceAll("[\\[*?]", "[$0]");
  }

  @Override
  public void close() {
    if (connection != null) {
      try {
        connection.close();
      } catch (SQLException e) {
        throw new MoeException("DuckDB cannot be closed: " + TableErrors.firstLine(e), e);
      }
    }
  }
}

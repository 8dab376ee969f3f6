package org.moe4j.cli;

import java.io.PrintWriter;
import java.util.ArrayList;
import java.util.List;

/**
 * A table for a terminal of 100 columns: columns as wide as their content up to a limit, the last
 * one as wide as what is left, longer cells on several lines.
 */
final class TextTable {
  /** The widest a line is, unless a single word is wider. */
  static final int WIDTH = 100;

  /** A space at which a cell is never broken. */
  static final char NO_BREAK = '\u00a0';

  private static final int GAP = 2;

  private final int[] limits;
  private final List<List<String>> rows = new ArrayList<>();

  /**
   * @param limits the widest each column but the last may be
   */
  TextTable(int... limits) {
    this.limits = limits.clone();
  }

  void row(String... cells) {
    row(List.of(cells));
  }

  void row(List<String> cells) {
    if (cells.size() != limits.length + 1) {
      throw new IllegalArgumentException(cells + " for " + (limits.length + 1) + " columns");
    }
    rows.add(List.copyOf(cells));
  }

  /** Prints the rows, each line after {@code indent} spaces. */
  void print(PrintWriter out, int indent) {
    int[] widths = new int[limits.length + 1];
    int left = WIDTH - indent;
    for (int c = 0; c < limits.length; c++) {
      for (List<String> row : rows) {
        widths[c] = Math.max(widths[c], Math.min(limits[c], row.get(c).length()));
      }
      left -= widths[c] + GAP;
    }
    widths[limits.length] = left;
    rows.forEach(row -> print(out, indent, row, widths));
  }

  private static void print(PrintWriter out, int indent, List<String> row, int[] widths) {
    List<List<String>> cells = new ArrayList<>();
    int height = 1;
    for (int c = 0; c < widths.length; c++) {
      cells.add(wrap(row.get(c), widths[c]));
      height = Math.max(height, cells.getLast().size());
    }
    for (int i = 0; i < height; i++) {
      StringBuilder line = new StringBuilder();
      line.repeat(' ', indent);
      for (int c = 0; c < widths.length; c++) {
        List<String> lines = cells.get(c);
        String text = i < lines.size() ? lines.get(i) : "";
        line.append(text).repeat(' ', Math.max(0, widths[c] - text.length()) + GAP);
      }
      out.println(line.toString().stripTrailing());
    }
  }

  /** The lines of {@code text}, broken at spaces, none longer than {@code width} but for a word. */
  static List<String> wrap(String text, int width) {
    List<String> lines = new ArrayList<>();
    StringBuilder line = new StringBuilder();
    for (String word : text.split(" ", -1)) {
      if (!line.isEmpty() && line.length() + 1 + word.length() > width) {
        lines.add(line.toString());
        line.setLength(0);
      }
      line.append(line.isEmpty() ? "" : " ").append(word.replace(NO_BREAK, ' '));
    }
    lines.add(line.toString());
    return lines;
  }
}

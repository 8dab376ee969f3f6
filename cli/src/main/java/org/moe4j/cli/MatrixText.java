package org.moe4j.cli;

import java.io.PrintWriter;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.moe4j.ListedSystem;

/**
 * Systems in rows, the twelve dimensions in columns, in whole words: three panels of the same rows,
 * since twelve columns of words do not fit side by side.
 */
final class MatrixText {
  /** A dimension, what it asks, and the widest its column may be. */
  record Column(String dimension, String question, int width) {}

  /** The columns; a panel's last one takes the width that is left. */
  static final List<List<Column>> PANELS =
      List.of(
          List.of(
              new Column("chooser", "who chooses", 18),
              new Column("signal", "what the router reads", 15),
              new Column("unit", "what is routed", 9),
              new Column("learning", "how the router is trained", 14),
              new Column("choices", "how many experts", 9)),
          List.of(
              new Column("gate", "order of score and selection", 20),
              new Column("balance", "what keeps experts evenly used", 27),
              new Column("overflow", "what happens beyond capacity", 17)),
          List.of(
              new Column("placement", "where the experts sit", 26),
              new Column("experts", "how many and what kind", 13),
              new Column("systems", "how it is computed", 17),
              new Column("use", "what it is for", 11)));

  private static final int ID = 3;
  private static final int NAME = 20;

  private MatrixText() {}

  static void print(PrintWriter out, List<ListedSystem> systems) {
    for (List<Column> panel : PANELS) {
      List<Column> limited = panel.subList(0, panel.size() - 1);
      TextTable table =
          new TextTable(
              IntStream.concat(IntStream.of(ID, NAME), limited.stream().mapToInt(Column::width))
                  .toArray());
      table.row(
          Stream.concat(Stream.of("id", "system"), panel.stream().map(Column::dimension)).toList());
      for (ListedSystem s : systems) {
        Map<String, String> values = s.taxonomy().values();
        List<String> row = new ArrayList<>(List.of(s.id(), s.name()));
        panel.forEach(c -> row.add(shown(values.getOrDefault(c.dimension(), ""))));
        table.row(row);
      }
      table.print(out, 0);
      out.println();
    }
    TextTable legend = new TextTable(NAME);
    PANELS.forEach(panel -> panel.forEach(c -> legend.row(c.dimension(), c.question())));
    legend.row("-", "does not apply, or nothing of the kind");
    legend.print(out, 0);
  }

  /** A value for people: several words separated by commas, a word never broken. */
  static String shown(String value) {
    return value.equals("none")
        ? "-"
        : value.replace(" + ", ",\n").replace(' ', TextTable.NO_BREAK).replace('\n', ' ');
  }
}

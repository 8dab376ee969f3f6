package org.moe4j;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.moe4j.tensor.MoeException;

/** The sixty systems of the Hugging Face reading list of Mixture-of-Experts papers, as data. */
public final class ReadingList {
  private static final String RESOURCE = "reading-list.txt";
  private static final int[] FIELDS = {4, 4, 6, 6};
  private static final List<ListedSystem> SYSTEMS = load();

  private ReadingList() {}

  /** All systems, in the list's order. */
  public static List<ListedSystem> systems() {
    return SYSTEMS;
  }

  /**
   * The system of this number.
   *
   * @param id for instance {@code S06}
   * @throws MoeException if the list has no such number
   */
  public static ListedSystem system(String id) {
    return SYSTEMS.stream()
        .filter(s -> s.id().equals(id))
        .findFirst()
        .orElseThrow(
            () ->
                new MoeException(
                    "the reading list has no system \""
                        + id
                        + "\"; it goes from "
                        + SYSTEMS.getFirst().id()
                        + " to "
                        + SYSTEMS.getLast().id()));
  }

  private static List<ListedSystem> load() {
    InputStream in = ReadingList.class.getResourceAsStream(RESOURCE);
    if (in == null) {
      throw new IllegalStateException(RESOURCE + " is not on the class path");
    }
    try (BufferedReader lines =
        new BufferedReader(new InputStreamReader(in, StandardCharsets.UTF_8))) {
      return parse(RESOURCE, lines.lines().toList());
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /**
   * Reads the list's text: comments begin with {@code #}, a system is four lines, empty lines
   * separate systems.
   *
   * @param source where the lines come from, for messages
   * @throws MoeException naming the line
   */
  static List<ListedSystem> parse(String source, List<String> lines) {
    List<ListedSystem> systems = new ArrayList<>();
    List<List<String>> block = new ArrayList<>();
    for (int i = 0; i < lines.size(); i++) {
      String line = lines.get(i).strip();
      String where = source + " line " + (i + 1) + ": ";
      if (line.startsWith("#")) {
        continue;
      }
      if (line.isEmpty()) {
        if (!block.isEmpty()) {
          throw new MoeException(
              where + "a system has " + FIELDS.length + " lines, this one ends after " + block);
        }
        continue;
      }
      List<String> fields = List.of(line.split(" \\| ", -1));
      int expected = FIELDS[block.size()];
      if (fields.size() != expected || fields.stream().anyMatch(String::isBlank)) {
        throw new MoeException(
            where + "write " + expected + " fields separated by \" | \", not \"" + line + "\"");
      }
      block.add(fields);
      if (block.size() == FIELDS.length) {
        systems.add(system(where, block, systems));
        block.clear();
      }
    }
    if (!block.isEmpty()) {
      throw new MoeException(source + ": the last system has less than 4 lines: " + block);
    }
    return List.copyOf(systems);
  }

  private static ListedSystem system(
      String where, List<List<String>> block, List<ListedSystem> before) {
    List<String> head = block.get(0);
    List<String> paper = block.get(1);
    String id = head.getFirst();
    if (before.stream().anyMatch(s -> s.id().equals(id))) {
      throw new MoeException(where + id + " is in the list twice; give one another number");
    }
    try {
      return new ListedSystem(
          id,
          head.get(1),
          new ListedSystem.Paper(
              paper.getFirst(), paper.get(1), Integer.parseInt(paper.get(2)), paper.get(3)),
          constant(ListedSystem.State.class, head.get(2)),
          constant(Causality.class, head.get(3)),
          Taxonomy.of(Stream.concat(block.get(2).stream(), block.get(3).stream()).toList()));
    } catch (NumberFormatException e) {
      throw new MoeException(where + id + ": \"" + paper.get(2) + "\" is not a year", e);
    } catch (MoeException e) {
      throw new MoeException(where + id + ": " + e.getMessage(), e);
    }
  }

  private static <E extends Enum<E>> E constant(Class<E> type, String word) {
    for (E value : type.getEnumConstants()) {
      if (word(value).equals(word)) {
        return value;
      }
    }
    throw new MoeException(
        "\""
            + word
            + "\" is none of "
            + Arrays.stream(type.getEnumConstants())
                .map(ReadingList::word)
                .collect(Collectors.joining(", ")));
  }

  private static String word(Enum<?> value) {
    return value.name().toLowerCase(Locale.ROOT).replace('_', '-');
  }
}

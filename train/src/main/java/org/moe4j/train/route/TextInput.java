package org.moe4j.train.route;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.function.BiPredicate;
import org.moe4j.tensor.MoeException;
import org.moe4j.train.data.Fields;
import org.moe4j.train.data.FileOptions;
import org.moe4j.train.data.TextPieces;
import org.moe4j.train.data.TextSource;

/**
 * The text to look at: plain files, tables (JSON lines, CSV, Parquet and the like) and folders of
 * them. The domain of a text is its file's label if labels are given, else the value of a table's
 * domain field, else the first folder below one that is named, else the file's name.
 *
 * @param files at least one
 * @param labels one per file, or none
 * @param textField the field of a table that holds the text
 * @param domainField the field that holds the domain; where it is not given, a field named "domain"
 *     if there is one
 */
public record TextInput(
    List<Path> files, List<String> labels, String textField, Optional<String> domainField) {
  private static final String DOMAIN = "domain";

  /** Checks that there is a label for each file, or none. */
  public TextInput {
    files = List.copyOf(files);
    labels = List.copyOf(labels);
    if (files.isEmpty()) {
      throw new MoeException("no text is named; give at least one file");
    }
    if (!labels.isEmpty() && labels.size() != files.size()) {
      throw new MoeException(
          labels.size() + " domains for " + files.size() + " files; give one for each, in order");
    }
  }

  /** Files whose domains follow from themselves. */
  public static TextInput of(List<Path> files) {
    return new TextInput(files, List.of(), Fields.DEFAULT.text(), Optional.empty());
  }

  /** Ends the reading of a file from within. */
  private static final class Enough extends RuntimeException {
    private static final long serialVersionUID = 1;

    Enough() {
      super("enough", null, false, false);
    }
  }

  /**
   * Hands the texts of file {@code index}, or successive pieces of it, with their domains to {@code
   * sink} for as long as that wants more.
   *
   * @throws MoeException when the file is missing, unreadable or has no such fields
   */
  void read(int index, BiPredicate<String, String> sink) {
    Path file = files.get(index);
    if (!Files.isReadable(file)) {
      throw new MoeException(file + ": no such file, or one that may not be read");
    }
    Optional<String> label = labels.isEmpty() ? Optional.empty() : Optional.of(labels.get(index));
    String name = label.orElseGet(() -> name(file));
    try {
      if (Files.isRegularFile(file) && !TextPieces.isTable(file)) {
        TextPieces.read(file, piece -> push(sink, name, piece));
      } else {
        FileOptions options = new FileOptions(new Fields(textField, domains(file)), false);
        TextSource.files(List.of(file), options)
            .read(d -> push(sink, label.or(d::domain).orElse(name), d.text()));
      }
    } catch (Enough enough) {
      // The sink has what it wanted.
      return;
    }
  }

  private static void push(BiPredicate<String, String> sink, String domain, String text) {
    if (!sink.test(domain, text)) {
      throw new Enough();
    }
  }

  private Optional<String> domains(Path file) {
    return Files.isDirectory(file) || domainField.isPresent()
        ? domainField
        : Optional.of(DOMAIN).filter(TextPieces.fields(file)::contains);
  }

  /** Without what follows the first dot: "news" of news.jsonl.gz. */
  private static String name(Path file) {
    Path last = file.toAbsolutePath().normalize().getFileName();
    String name = last == null ? file.toString() : last.toString();
    int dot = name.indexOf('.', 1);
    return dot > 0 ? name.substring(0, dot) : name;
  }
}

package org.moe4j.train.data;

import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.function.Consumer;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.moe4j.tensor.MoeException;

/**
 * Files and folders. By the file's name: {@code .jsonl}, {@code .ndjson}, {@code .json}, {@code
 * .csv} and {@code .tsv} (each also {@code .gz} or {@code .zst}) and {@code .parquet} are tables
 * with a text field; every other file is plain UTF-8 text. Folders are read recursively in the
 * order of their paths, without hidden files and without binary ones (those with a NUL byte near
 * their start, which are counted).
 *
 * <p>A document's domain is the value of the domain field, else the first folder below the one that
 * was named: {@code corpus/news/a.txt} of {@code corpus} is "news".
 *
 * @param paths the files and folders; read in this order
 * @param options the fields of tables, and how plain text is split
 */
public record FileSource(List<Path> paths, FileOptions options) implements TextSource {
  private static final int PEEK = 4096;

  /** Copies the list. */
  public FileSource {
    paths = List.copyOf(paths);
    if (paths.isEmpty()) {
      throw new MoeException("no file or folder is named as the corpus");
    }
  }

  @Override
  public SourceReport read(Consumer<? super Document> sink) {
    DocumentSink documents = new DocumentSink(sink);
    try (DuckDbReader tables = new DuckDbReader()) {
      for (Path root : paths) {
        if (!Files.exists(root)) {
          throw new MoeException(root + ": no such file or folder");
        }
        if (Files.isDirectory(root)) {
          for (Path file : filesBelow(root)) {
            readFound(file, folderDomain(root, file), tables, documents);
          }
        } else {
          readFile(root, Optional.empty(), tables, documents);
        }
      }
    }
    return documents.report(description());
  }

  @Override
  public String description() {
    return paths.stream().map(Path::toString).collect(Collectors.joining(", "));
  }

  private void readFound(
      Path file, Optional<String> domain, DuckDbReader tables, DocumentSink documents) {
    if (TableFormat.of(file).isEmpty() && isBinary(file)) {
      documents.binaryFile();
    } else {
      readFile(file, domain, tables, documents);
    }
  }

  private void readFile(
      Path file, Optional<String> domain, DuckDbReader tables, DocumentSink documents) {
    if (!Files.isRegularFile(file) || !Files.isReadable(file)) {
      throw new MoeException(file + ": cannot be read; check that it is a file you may read");
    }
    Optional<TableFormat> format = TableFormat.of(file);
    if (format.isPresent()) {
      tables.readFile(file, format.get(), options.fields(), domain, documents);
    } else {
      PlainText.read(file, options.byParagraph(), text -> documents.accept(text, domain));
    }
  }

  private static List<Path> filesBelow(Path root) {
    try (Stream<Path> walk = Files.walk(root)) {
      return walk.filter(Files::isRegularFile)
          .filter(file -> !isHidden(root.relativize(file)))
          .sorted()
          .toList();
    } catch (IOException | java.io.UncheckedIOException e) {
      throw new MoeException(root + ": the folder cannot be read: " + e.getMessage(), e);
    }
  }

  private static boolean isHidden(Path relative) {
    for (Path name : relative) {
      if (name.toString().startsWith(".")) {
        return true;
      }
    }
    return false;
  }

  private static Optional<String> folderDomain(Path root, Path file) {
    Path relative = root.relativize(file);
    return relative.getNameCount() > 1
        ? Optional.of(relative.getName(0).toString())
        : Optional.empty();
  }

  private static boolean isBinary(Path file) {
    try (InputStream in = Files.newInputStream(file)) {
      for (byte b : in.readNBytes(PEEK)) {
        if (b == 0) {
          return true;
        }
      }
      return false;
    } catch (IOException e) {
      throw new MoeException(file + ": cannot be read: " + e.getMessage(), e);
    }
  }
}

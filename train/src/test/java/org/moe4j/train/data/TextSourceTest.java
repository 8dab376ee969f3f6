package org.moe4j.train.data;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.zip.GZIPOutputStream;
import org.assertj.core.api.AbstractThrowableAssert;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.moe4j.tensor.MoeException;

class TextSourceTest {
  private static final FileOptions LABELLED =
      new FileOptions(new Fields("text", Optional.of("domain")), false);

  @TempDir Path folder;

  @Test
  void wordNetHoldsEverySynsetInItsDomain() {
    List<Document> documents = read(TextSource.wordNet());
    assertThat(documents).hasSize(117_791);
    assertThat(documents.stream().map(Document::domain).distinct()).hasSize(45);
    assertThat(documents.getFirst())
        .isEqualTo(
            Document.of(
                "entity: that which is perceived or known or inferred to have its own distinct"
                    + " existence (living or nonliving)",
                "noun.Tops"));
    assertThat(documents.subList(82_192, 82_193))
        .containsExactly(
            Document.of(
                "breathe, take a breath, respire, suspire: draw air into, and expel out of, the"
                    + " lungs; \"I can breathe better when the air is clean\"; \"The patient is"
                    + " respiring\"",
                "verb.body"));
    assertThat(documents.stream().map(Document::text))
        .anyMatch(text -> text.startsWith("dog, domestic dog, Canis familiaris: a member of"))
        .noneMatch(text -> text.contains("_dog") || text.contains("(ip):"));
  }

  @Test
  void documentsInMemoryAreReadInTheirOrder() {
    List<Document> given = List.of(Document.of("b", "x"), Document.of(" "), Document.of("a"));
    TextSource source = TextSource.of("three texts", given);
    assertThat(read(source)).containsExactly(given.get(0), given.get(2));
    assertThat(source.description()).isEqualTo("three texts");
    assertThatThrownBy(() -> read(TextSource.of("no texts", List.of())))
        .isInstanceOf(MoeException.class)
        .hasMessageContaining("no texts");
  }

  @Test
  void folderIsReadInOrderWithItsSubfoldersAsDomains() throws IOException {
    write("b.txt", "second");
    write("news/y.md", "fourth");
    write("a.txt", "\uFEFFfirst");
    write("news/deep/x.txt", "third");
    write(".git/config", "hidden");
    write("picture.png", "\0\0PNG");
    write("z.jsonl", "{\"text\": \"fifth\"}\n");
    List<Document> documents = new ArrayList<>();
    SourceReport report =
        TextSource.files(List.of(folder), FileOptions.DEFAULT).read(documents::add);
    assertThat(documents)
        .containsExactly(
            Document.of("first"),
            Document.of("second"),
            Document.of("third", "news"),
            Document.of("fourth", "news"),
            Document.of("fifth"));
    assertThat(report).isEqualTo(new SourceReport(5, 0, 0, 1));
  }

  @Test
  void blankLinesSplitAFile() throws IOException {
    Path file = write("a.txt", "\n one\nline two \n\n\n \t\r\nthree\r\n\r\nfour");
    assertThat(read(TextSource.files(List.of(file), new FileOptions(Fields.DEFAULT, true))))
        .extracting(Document::text)
        .containsExactly("one\nline two", "three", "four");
  }

  @Test
  void everyTableFormatGivesTheSameDocuments() throws Exception {
    List<Path> files = new ArrayList<>();
    try (Connection duck = DriverManager.getConnection("jdbc:duckdb:");
        Statement statement = duck.createStatement()) {
      for (String name :
          List.of(
              "a.jsonl",
              "a.ndjson.gz",
              "a.jsonl.zst",
              "a.csv",
              "a.csv.gz",
              "a.CSV.zst",
              "a.tsv",
              "a.parquet",
              "a[1]*?.jsonl",
              "it's.parquet")) {
        Path file = folder.resolve(name);
        String delimiter = name.endsWith("tsv") ? ", delimiter '\\t'" : "";
        statement.execute(
            """
            COPY (SELECT * FROM (VALUES ('say "hi", 42\nagain', 'x', 1), (NULL, 'y', 2),
                ('2020-01-01T00:00:00', NULL, 3), ('  ', 'z', 4), ('été 🎉', '7', 5))
                AS t(text, domain, id) ORDER BY id)
            TO '%s' (FORMAT %s%s)
            """
                .formatted(
                    file.toString().replace("'", "''"),
                    format(name),
                    compression(name) + delimiter));
        files.add(file);
      }
    }
    for (Path file : files) {
      List<Document> documents = new ArrayList<>();
      SourceReport report = TextSource.files(List.of(file), LABELLED).read(documents::add);
      assertThat(documents)
          .as(file.toString())
          .containsExactly(
              Document.of("say \"hi\", 42\nagain", "x"),
              Document.of("2020-01-01T00:00:00"),
              Document.of("été 🎉", "7"));
      assertThat(report).as(file.toString()).isEqualTo(new SourceReport(3, 1, 1, 0));
    }
  }

  private static String format(String name) {
    return name.contains("json") ? "json" : name.endsWith("parquet") ? "parquet" : "csv";
  }

  private static String compression(String name) {
    return name.endsWith("gz")
        ? ", compression gzip"
        : name.endsWith("zst") ? ", compression zstd" : "";
  }

  @Test
  void longRecordsAndManyKeysAreRead() throws IOException {
    String text = "word ".repeat(1_000_000).strip();
    StringBuilder keys = new StringBuilder();
    for (int i = 0; i < 500; i++) {
      keys.append("{\"text\": \"t\", \"key%d\": {\"%d\": 1}}\n".formatted(i, i));
    }
    for (Path file :
        List.of(
            write("long.csv", "text,b\n" + text + ",1\n"),
            write("long.jsonl", "{\"text\": \"" + text + "\"}\n"))) {
      List<Document> documents = read(TextSource.files(List.of(file), FileOptions.DEFAULT));
      assertThat(documents.equals(List.of(Document.of(text)))).isTrue();
    }
    Path many = write("keys.jsonl", keys.toString());
    assertThat(read(TextSource.files(List.of(many), FileOptions.DEFAULT))).hasSize(500);
  }

  @Test
  void queryIsASource() throws IOException {
    Path file = write("a.jsonl", "{\"body\": \"b\", \"n\": 2}\n{\"body\": \"a\", \"n\": 1}\n");
    String query = "SELECT upper(body) AS text, n FROM '" + file + "' ORDER BY n; ";
    assertThat(read(TextSource.sql(query, new Fields("text", Optional.of("n")))))
        .containsExactly(Document.of("A", "1"), Document.of("B", "2"));
  }

  @Test
  void queryErrorsAreOneLineOfDuckDb() throws SQLException {
    fails(TextSource.sql("SELEC 1", Fields.DEFAULT)).hasMessageContaining("syntax error");
    fails(TextSource.sql("SELECT 1 AS txt", Fields.DEFAULT))
        .hasMessage("the query: no text field \"text\"; its fields are txt; did you mean \"txt\"?");
    fails(TextSource.sql("SELECT nope FROM range(3)", Fields.DEFAULT))
        .hasMessageContaining("\"nope\" not found");
    fails(TextSource.sql("SELECT 'a' AS text WHERE false", Fields.DEFAULT))
        .hasMessageContaining("the corpus is empty");
    fails(TextSource.sql("SELECT error('boom') AS text", Fields.DEFAULT))
        .hasMessageContaining("boom");
    Path target = folder.resolve("written.csv");
    fails(TextSource.sql("COPY (SELECT 1 AS text) TO '" + target + "'", Fields.DEFAULT))
        .hasMessageContaining("the SQL query fails");
    fails(TextSource.sql("SELECT 1 AS text); DROP TABLE t; (SELECT 1", Fields.DEFAULT))
        .hasMessageContaining("the SQL query fails");
    assertThat(target).doesNotExist();
  }

  @Test
  void wrongFilesAreNamed() throws IOException {
    fails(folder.resolve("none.txt")).hasMessageContaining("none.txt: no such file or folder");
    fails(folder).hasMessageContaining("the corpus is empty");
    fails(write("blank.txt", " \n ")).hasMessageContaining("0 texts are NULL, 1 blank");
    fails(write("null.jsonl", "{\"text\": null}\n"))
        .hasMessageContaining("null.jsonl")
        .hasMessageContaining("1 texts are NULL");
    fails(writeBytes("latin.txt", "abc\u00e9def".getBytes(StandardCharsets.ISO_8859_1)))
        .hasMessageContaining("latin.txt: byte 3 is not UTF-8");
    Path paragraphs = writeBytes("l.txt", "\u00e9".getBytes(StandardCharsets.ISO_8859_1));
    Files.write(paragraphs, concat("a\n\nbc\n\nd", paragraphs));
    assertThatThrownBy(
            () ->
                read(TextSource.files(List.of(paragraphs), new FileOptions(Fields.DEFAULT, true))))
        .hasMessageContaining("l.txt: byte 8 is not UTF-8");
  }

  @Test
  void wrongTablesAreNamed() throws IOException {
    fails(write("a.jsonl", "{\"content\": 1, \"Texts\": 2}\n"))
        .hasMessageContaining("a.jsonl: no text field \"text\"; its fields are content, Texts;")
        .hasMessageEndingWith("did you mean \"Texts\"?");
    fails(write("b.jsonl", "{\"text\": \"a\"}\n\n{\"text\": \"b\n{\"text\": \"c\"}\n"))
        .hasMessageContaining("b.jsonl: line 3 is malformed JSON");
    fails(write("c.jsonl", "{\"text\": \"a\"}\n[1, 2]\n"))
        .hasMessageContaining("c.jsonl: line 2 is not a JSON object");
    fails(write("d.jsonl", "hello\n")).hasMessageContaining("d.jsonl: line 1");
    byte[] latin = "{\"text\": \"\u00e9\"}\n".getBytes(StandardCharsets.ISO_8859_1);
    fails(writeBytes("e.jsonl", latin)).hasMessageContaining("e.jsonl: byte 10 is not UTF-8");
    Path zipped = folder.resolve("f.jsonl.gz");
    try (OutputStream out = new GZIPOutputStream(Files.newOutputStream(zipped))) {
      out.write(latin);
    }
    fails(zipped).hasMessageContaining("f.jsonl.gz: byte 10 is not UTF-8");
    fails(writeBytes("g.csv", "text\nabc\n\u00e9\n".getBytes(StandardCharsets.ISO_8859_1)))
        .hasMessageContaining("g.csv: byte 9 is not UTF-8");
    fails(write("h.csv", "text,domain\na,b\nc,d,e\n")).hasMessageContaining("h.csv: cannot be");
    fails(write("i.parquet", "PAR1 truncated")).hasMessageContaining("i.parquet: cannot be read");
    fails(write("s.jsonl", "{\"text\": \"a\"}\n{\"text\": \"\\ud83c\"}\n"))
        .hasMessageContaining("s.jsonl: line 2 has half of a surrogate pair");
    fails(write("u.csv", "text,label\n\"a,1\nb,2\n")).hasMessageContaining("u.csv: cannot be read");
    fails(write("j.jsonl", "")).hasMessageContaining("j.jsonl");
    fails(write("k.jsonl.gz", "not gzip")).hasMessageContaining("k.jsonl.gz: cannot be read");
    Path file = write("l.csv", "text,label\na,b\n");
    assertThatThrownBy(() -> read(TextSource.files(List.of(file), LABELLED)))
        .hasMessageContaining("l.csv: no domain field \"domain\"; its fields are text, label");
  }

  private AbstractThrowableAssert<?, ?> fails(Path file) {
    return fails(TextSource.files(List.of(file), FileOptions.DEFAULT));
  }

  private static AbstractThrowableAssert<?, ?> fails(TextSource source) {
    return assertThatThrownBy(() -> read(source))
        .isInstanceOf(MoeException.class)
        .satisfies(e -> assertThat(e.getMessage()).doesNotContain("\n"));
  }

  private static List<Document> read(TextSource source) {
    List<Document> documents = new ArrayList<>();
    source.read(documents::add);
    return documents;
  }

  private Path write(String name, String text) throws IOException {
    return writeBytes(name, text.getBytes(StandardCharsets.UTF_8));
  }

  private Path writeBytes(String name, byte[] bytes) throws IOException {
    Path file = folder.resolve(name);
    Files.createDirectories(file.getParent());
    return Files.write(file, bytes);
  }

  private static byte[] concat(String head, Path tail) throws IOException {
    byte[] rest = Files.readAllBytes(tail);
    byte[] first = head.getBytes(StandardCharsets.UTF_8);
    byte[] all = java.util.Arrays.copyOf(first, first.length + rest.length);
    System.arraycopy(rest, 0, all, first.length, rest.length);
    return all;
  }
}

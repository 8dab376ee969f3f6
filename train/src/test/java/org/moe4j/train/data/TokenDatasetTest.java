package org.moe4j.train.data;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashSet;
import java.util.List;
import java.util.Random;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.moe4j.tensor.MoeException;

class TokenDatasetTest {
  private static final DocumentSplit SPLIT = new DocumentSplit(4, 0.2);

  @TempDir Path folder;

  private final BpeTokenizer tokenizer = Fixtures.tokenizer();

  @Test
  void everyDocumentIsOnTheSideItsHashSays() throws IOException {
    List<String> texts = texts();
    TokenDataset data = build(texts, SPLIT, 2);
    assertThat(decode(data.validation()))
        .containsExactlyInAnyOrderElementsOf(texts.stream().filter(SPLIT::validates).toList());
    assertThat(decode(data.train()))
        .containsExactlyInAnyOrderElementsOf(
            texts.stream().filter(text -> !SPLIT.validates(text)).toList());
    assertThat(data.validation().documents() / (double) texts.size()).isBetween(0.14, 0.26);
    assertThat(data.report().documents()).isEqualTo(texts.size());
    assertThat(decode(data.train())).isNotEqualTo(decode(build(texts, other(), 2).train()));
  }

  private static DocumentSplit other() {
    return new DocumentSplit(5, 0.2);
  }

  @Test
  void copiesOfATextAreOnOneSide() throws IOException {
    List<String> texts = texts();
    texts.addAll(List.copyOf(texts));
    TokenDataset data = build(texts, SPLIT, 1);
    Set<String> train = new HashSet<>(decode(data.train()));
    assertThat(train).doesNotContainAnyElementsOf(decode(data.validation()));
  }

  @Test
  void orderOfDocumentsAndThreadsDoNotMatter() throws IOException {
    List<String> texts = texts();
    TokenDataset expected = build(texts, SPLIT, 1);
    Collections.shuffle(texts, new Random(9));
    TokenDataset shuffled = build(texts, SPLIT, 3);
    assertThat(decode(shuffled.train())).isEqualTo(decode(expected.train()));
    assertThat(decode(shuffled.validation())).isEqualTo(decode(expected.validation()));
    assertThat(shuffled.fingerprint()).isEqualTo(expected.fingerprint());
    texts.set(0, texts.get(0) + "!");
    assertThat(build(texts, SPLIT, 3).fingerprint()).isNotEqualTo(expected.fingerprint());
  }

  @Test
  void everyTokenKnowsItsDomain() throws IOException {
    for (int i = 0; i < 30; i++) {
      write("b/" + i + ".txt", "bb " + i);
      write("a/" + i + ".txt", "aa " + i);
      write(i + ".txt", "none " + i);
    }
    TextSource source = TextSource.files(List.of(folder), FileOptions.DEFAULT);
    TokenDataset data = TokenDataset.build(source, tokenizer, SPLIT);
    assertThat(data.domains()).containsExactly("a", "b");
    for (TokenStream stream : List.of(data.train(), data.validation())) {
      int start = 1;
      assertThat(stream.token(0)).isEqualTo(tokenizer.endOfText());
      for (int i = 0; i < stream.size(); i++) {
        if (stream.token(i) == tokenizer.endOfText()) {
          assertThat(stream.domain(i)).isEqualTo(TokenStream.NO_DOMAIN);
          start = i + 1;
        } else {
          String text = tokenizer.decode(stream.token(start)).strip();
          int domain = text.startsWith("a") ? 0 : text.startsWith("b") ? 1 : -1;
          assertThat(stream.domain(i)).isEqualTo(domain);
        }
      }
    }
  }

  @Test
  void endOfTextInADocumentIsPlainText() throws IOException {
    TokenDataset data = build(List.of("one <|endoftext|> two", "three"), SPLIT, 1);
    assertThat(data.train().documents() + data.validation().documents()).isEqualTo(2);
    List<String> all = new ArrayList<>(decode(data.train()));
    all.addAll(decode(data.validation()));
    assertThat(all).containsExactlyInAnyOrder("one <|endoftext|> two", "three");
  }

  @Test
  void largeVocabulariesKeepTheirIds() {
    TokenArray wide = TokenArray.of(70_000, 1);
    TokenArray narrow = TokenArray.of(65_536, 1);
    for (int i = 0; i < 1000; i++) {
      wide.add(69_999 - i);
      narrow.add(65_535 - i);
    }
    TokenArray copy = TokenArray.of(70_000, 1);
    copy.addAll(wide, 10, 20);
    assertThat(wide.at(999)).isEqualTo(69_000);
    assertThat(narrow.at(999)).isEqualTo(64_536);
    assertThat(copy.size()).isEqualTo(10);
    assertThat(copy.at(9)).isEqualTo(69_980);
  }

  @Test
  void oneDocumentCannotBeSplit() {
    assertThatThrownBy(() -> build(List.of("alone"), SPLIT, 1))
        .isInstanceOf(MoeException.class)
        .hasMessageContaining("one document alone cannot be split");
    for (double fraction : new double[] {0, 1, -1, Double.NaN}) {
      assertThatThrownBy(() -> new DocumentSplit(1, fraction))
          .isInstanceOf(MoeException.class)
          .hasMessageContaining("validation fraction " + fraction);
    }
  }

  @Test
  void bothSidesOfATinyCorpusHaveText() throws IOException {
    for (double fraction : new double[] {1e-9, 1 - 1e-9}) {
      TokenDataset data = build(List.of("a", "b"), new DocumentSplit(1, fraction), 1);
      assertThat(data.train().documents()).isEqualTo(1);
      assertThat(data.validation().documents()).isEqualTo(1);
    }
  }

  private static List<String> texts() {
    return new ArrayList<>(new HashSet<>(Fixtures.corpus()));
  }

  private TokenDataset build(List<String> texts, DocumentSplit split, int threads)
      throws IOException {
    Path file = write("all.txt", String.join("\n\n", texts));
    TextSource source = TextSource.files(List.of(file), new FileOptions(Fields.DEFAULT, true));
    return TokenDataset.build(source, tokenizer, split, threads);
  }

  private Path write(String name, String text) throws IOException {
    Path file = folder.resolve(name);
    Files.createDirectories(file.getParent());
    return Files.writeString(file, text);
  }

  /** The documents between the end-of-text tokens. */
  private List<String> decode(TokenStream stream) {
    List<String> texts = new ArrayList<>();
    IntList document = new IntList(8);
    for (int i = 1; i < stream.size(); i++) {
      if (stream.token(i) == tokenizer.endOfText()) {
        texts.add(tokenizer.decode(document.toArray()));
        document = new IntList(8);
      } else {
        document.add(stream.token(i));
      }
    }
    assertThat(texts).hasSize(stream.documents());
    return texts;
  }
}

package org.moe4j.train.route;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.moe4j.tensor.MoeException;

class TextInputTest {
  @TempDir private Path folder;

  private Path file(String name, String text) throws IOException {
    return Files.writeString(folder.resolve(name), text);
  }

  private static List<String> read(TextInput input) {
    List<String> texts = new ArrayList<>();
    for (int i = 0; i < input.files().size(); i++) {
      input.read(i, (domain, text) -> texts.add(domain + ": " + text));
    }
    return texts;
  }

  @Test
  void theDomainIsTheLabelOrTheFieldOrTheFilesName() throws IOException {
    Path plain = file("news.en.txt", "a\n\n  b\n");
    Path table = file("t.jsonl", "{\"text\":\"x\",\"domain\":\"law\"}\n{\"text\":\"y\"}\n");
    Path bare = file("bare.csv", "body,kind\nz,k\n");
    assertThat(read(TextInput.of(List.of(plain, table))))
        .containsExactly("news: a\n\n  b\n", "law: x", "t: y");
    assertThat(read(new TextInput(List.of(plain, table), List.of("p", "q"), "text", none())))
        .containsExactly("p: a\n\n  b\n", "q: x", "q: y");
    assertThat(read(new TextInput(List.of(bare), List.of(), "body", none())))
        .containsExactly("bare: z");
    assertThat(read(new TextInput(List.of(bare), List.of(), "body", Optional.of("kind"))))
        .containsExactly("k: z");
  }

  private static Optional<String> none() {
    return Optional.empty();
  }

  @Test
  void aLongTextComesInPiecesThatAreTheText() throws IOException {
    StringBuilder text = new StringBuilder();
    for (int i = 0; i < 30_000; i++) {
      text.append("zeile ").append(i).append(i % 3 == 0 ? "\n" : " äöü€𝄞");
    }
    String endless = "€".repeat(300_000);
    for (String each : List.of(text.toString(), endless)) {
      List<String> pieces = new ArrayList<>();
      TextInput.of(List.of(file("long.txt", each))).read(0, (domain, piece) -> pieces.add(piece));
      assertThat(pieces).hasSizeGreaterThan(2);
      assertThat(String.join("", pieces)).isEqualTo(each);
    }
  }

  @Test
  void readingEndsWhenEnoughWasRead() throws IOException {
    Path table = file("many.jsonl", "{\"text\":\"x\"}\n".repeat(100));
    List<String> texts = new ArrayList<>();
    TextInput.of(List.of(table))
        .read(
            0,
            (domain, text) -> {
              texts.add(text);
              return texts.size() < 3;
            });
    assertThat(texts).hasSize(3);
  }

  @Test
  void whatIsWrongIsNamed() throws IOException {
    Path table = file("t.jsonl", "{\"text\":\"x\",\"domain\":\"law\"}\n");
    TextInput unknown = new TextInput(List.of(table), List.of(), "text", Optional.of("d"));
    assertThatThrownBy(() -> read(unknown))
        .isInstanceOf(MoeException.class)
        .hasMessageContaining("no domain field \"d\"");
    assertThatThrownBy(() -> read(TextInput.of(List.of(folder.resolve("none.txt")))))
        .isInstanceOf(MoeException.class)
        .hasMessageContaining("none.txt: no such file");
    Path latin = Files.write(folder.resolve("latin.txt"), new byte[] {'a', (byte) 0xE9, 'b'});
    assertThatThrownBy(() -> read(TextInput.of(List.of(latin))))
        .isInstanceOf(MoeException.class)
        .hasMessageContaining("byte 1 is not UTF-8");
    assertThatThrownBy(() -> new TextInput(List.of(latin), List.of("a", "b"), "text", none()))
        .isInstanceOf(MoeException.class)
        .hasMessageContaining("2 domains for 1 files");
  }
}

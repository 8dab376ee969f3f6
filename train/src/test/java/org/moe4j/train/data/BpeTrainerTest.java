package org.moe4j.train.data;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.moe4j.tensor.MoeException;

class BpeTrainerTest {
  @TempDir Path folder;

  /** The committed file was checked against the library's own trainer when it was made. */
  @Test
  void learnsTheMergesOfTheTokenizersLibrary() throws IOException {
    Path file = folder.resolve("tokenizer.json");
    train(Fixtures.corpus(), 700).write(file);
    assertThat(Files.readString(file)).isEqualTo(Fixtures.text("tokenizer.json"));
    assertThat(folder).isDirectoryContaining(file::equals).isDirectoryNotContaining("glob:*.part");
  }

  @Test
  void orderOfTextsDoesNotMatter() {
    List<String> texts = new ArrayList<>(Fixtures.corpus());
    BpeTokenizer expected = train(texts, 500);
    Collections.shuffle(texts, new Random(1));
    assertThat(train(texts, 500).merges()).isEqualTo(expected.merges());
  }

  @Test
  void incrementalCountsEqualCountingAnew() {
    Random random = new Random(5);
    for (int trial = 0; trial < 60; trial++) {
      List<String> texts = new ArrayList<>();
      // Few letters: many ties, runs of one letter, and tokens that two merges spell.
      int letters = 2 + trial % 3;
      for (int i = 0; i < 25; i++) {
        StringBuilder word = new StringBuilder();
        for (int j = random.nextInt(14); j >= 0; j--) {
          word.append((char) ('a' + random.nextInt(letters)));
        }
        texts.add(word.toString());
      }
      assertThat(train(texts, 320).merges()).isEqualTo(naiveMerges(texts, 319));
    }
  }

  private static BpeTokenizer train(List<String> texts, int vocabSize) {
    BpeTrainer trainer = new BpeTrainer(vocabSize);
    texts.forEach(trainer::add);
    return trainer.train();
  }

  /** The definition: count all pairs of all words before every merge. */
  private static List<Merge> naiveMerges(List<String> texts, int limit) {
    List<List<Integer>> words = new ArrayList<>();
    for (String text : texts) {
      List<Integer> word = new ArrayList<>();
      for (byte b : text.getBytes(StandardCharsets.UTF_8)) {
        word.add(ByteAlphabet.rankOf(b));
      }
      words.add(word);
    }
    List<String> tokens = new ArrayList<>();
    for (int rank = 0; rank < 256; rank++) {
      tokens.add(ByteAlphabet.spell(new byte[] {ByteAlphabet.byteOfRank(rank)}));
    }
    Map<Long, Merge> merges = new java.util.LinkedHashMap<>();
    while (tokens.size() < limit) {
      Map<Long, Long> counts = new HashMap<>();
      for (List<Integer> word : words) {
        for (int i = 0; i + 1 < word.size(); i++) {
          counts.merge(PairTable.pair(word.get(i), word.get(i + 1)), 1L, Long::sum);
        }
      }
      long most = counts.values().stream().mapToLong(Long::longValue).max().orElse(0);
      if (most < 2) {
        break;
      }
      long pair =
          counts.keySet().stream().filter(p -> counts.get(p) == most).min(Long::compare).get();
      int left = PairTable.left(pair);
      int right = PairTable.right(pair);
      String spelled = tokens.get(left) + tokens.get(right);
      if (!tokens.contains(spelled)) {
        tokens.add(spelled);
      }
      int merged = tokens.indexOf(spelled);
      merges.putIfAbsent(pair, new Merge(left, right, merged));
      for (List<Integer> word : words) {
        for (int i = 0; i + 1 < word.size(); i++) {
          if (word.get(i) == left && word.get(i + 1) == right) {
            word.set(i, merged);
            word.remove(/* index */ i + 1);
          }
        }
      }
    }
    return List.copyOf(merges.values());
  }

  @Test
  void textWithoutRepeatsGivesTheBytesAlone() {
    BpeTokenizer tokenizer = train(List.of("abc"), 1000);
    assertThat(tokenizer.vocabSize()).isEqualTo(257);
    assertThat(tokenizer.endOfText()).isEqualTo(256);
    assertThat(tokenizer.decode(tokenizer.encode("xyz é"))).isEqualTo("xyz é");
  }

  @Test
  void aMegabyteWithoutWhiteSpaceIsTrainedOnAndEncoded() {
    String text = "abcd".repeat(1 << 18);
    BpeTokenizer tokenizer = train(List.of(text), 270);
    assertThat(tokenizer.encode(text)).hasSizeLessThan(1 << 17);
    assertThat(tokenizer.decode(tokenizer.encode(text))).isEqualTo(text);
  }

  @Test
  void impossibleSizesAreRefused() {
    for (int size : new int[] {-1, 256, Integer.MAX_VALUE}) {
      assertThatThrownBy(() -> new BpeTrainer(size))
          .isInstanceOf(MoeException.class)
          .hasMessageContaining("vocabulary size " + size);
    }
  }

  @Test
  void trainingTextAloneIsLearntFrom() throws IOException {
    Path file = Files.writeString(folder.resolve("a.txt"), String.join("\n\n", Fixtures.corpus()));
    TextSource source = TextSource.files(List.of(file), new FileOptions(Fields.DEFAULT, true));
    DocumentSplit split = new DocumentSplit(1, 0.5);
    List<String> training =
        Fixtures.corpus().stream().filter(text -> !split.validates(text)).toList();
    assertThat(BpeTrainer.train(source, split, 500).merges())
        .isEqualTo(train(training, 500).merges())
        .isNotEqualTo(train(Fixtures.corpus(), 500).merges());
  }
}

package org.moe4j.train.data;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.moe4j.tensor.MoeException;
import tools.jackson.databind.JsonNode;

class BpeTokenizerTest {
  private final BpeTokenizer tokenizer = Fixtures.tokenizer();

  @Test
  void encodesAsTheTokenizersLibrary() {
    JsonNode cases = Fixtures.json("expected.json").path("encode");
    assertThat(cases.size()).isGreaterThan(200);
    for (JsonNode example : cases) {
      String text = example.path("text").asString();
      assertThat(tokenizer.encode(text)).as(text).isEqualTo(Fixtures.ids(example.path("ids")));
      assertThat(tokenizer.encodeOrdinary(text))
          .as(text)
          .isEqualTo(Fixtures.ids(example.path("ordinary")));
      assertThat(tokenizer.decode(tokenizer.encodeOrdinary(text))).isEqualTo(text);
    }
  }

  @Test
  void decodesAsTheTokenizersLibraryAlsoBrokenUtf8() {
    for (JsonNode example : Fixtures.json("expected.json").path("decode")) {
      int[] ids = Fixtures.ids(example.path("ids"));
      assertThat(tokenizer.decode(ids)).isEqualTo(example.path("text").asString());
    }
  }

  @Test
  void streamingGivesTheSameTextAndHoldsBackOnlyWhatIsIncomplete() {
    for (JsonNode example : Fixtures.json("expected.json").path("decode")) {
      StreamingDecoder decoder = new StreamingDecoder(tokenizer);
      StringBuilder text = new StringBuilder();
      for (int id : Fixtures.ids(example.path("ids"))) {
        text.append(decoder.push(id));
      }
      text.append(decoder.finish());
      assertThat(text).hasToString(example.path("text").asString());
    }
    StreamingDecoder decoder = new StreamingDecoder(tokenizer);
    List<String> parts = new ArrayList<>();
    for (byte b : "aé日🎉".getBytes(StandardCharsets.UTF_8)) {
      parts.add(decoder.push(ByteAlphabet.rankOf(b)));
    }
    assertThat(parts).containsExactly("a", "", "é", "", "", "日", "", "", "", "🎉");
    assertThat(decoder.finish()).isEmpty();
  }

  @Test
  void heapMergesAsTheDefinitionSays() {
    Random random = new Random(2);
    int[] idOfByte = IntStream.range(0, 256).map(b -> ByteAlphabet.rankOf((byte) b)).toArray();
    BpeEncoder encoder = new BpeEncoder(idOfByte, tokenizer.merges());
    byte[] corpus = String.join("", Fixtures.corpus()).getBytes(StandardCharsets.UTF_8);
    for (int trial = 0; trial < 500; trial++) {
      byte[] piece = new byte[random.nextInt(40)];
      int from = random.nextInt(corpus.length - 40);
      System.arraycopy(corpus, from, piece, 0, piece.length);
      assertThat(encoder.encode(piece)).isEqualTo(naive(piece));
    }
  }

  private int[] naive(byte[] piece) {
    List<Integer> symbols = new ArrayList<>();
    for (byte b : piece) {
      symbols.add(ByteAlphabet.rankOf(b));
    }
    for (int best = 0; best >= 0; ) {
      best = -1;
      int bestRank = Integer.MAX_VALUE;
      for (int i = 0; i + 1 < symbols.size(); i++) {
        int rank = rank(symbols.get(i), symbols.get(i + 1));
        if (rank >= 0 && rank < bestRank) {
          best = i;
          bestRank = rank;
        }
      }
      if (best >= 0) {
        symbols.set(best, tokenizer.merges().get(bestRank).merged());
        symbols.remove(/* index */ best + 1);
      }
    }
    return symbols.stream().mapToInt(Integer::intValue).toArray();
  }

  private int rank(int left, int right) {
    List<Merge> merges = tokenizer.merges();
    for (int rank = 0; rank < merges.size(); rank++) {
      if (merges.get(rank).left() == left && merges.get(rank).right() == right) {
        return rank;
      }
    }
    return -1;
  }

  @Test
  void specialTokensAreNoText() {
    int end = tokenizer.endOfText();
    assertThat(end).isEqualTo(tokenizer.vocabSize() - 1);
    assertThat(tokenizer.encode("a<|endoftext|>")).hasSize(2).endsWith(end);
    assertThat(tokenizer.encodeOrdinary("a<|endoftext|>")).doesNotContain(end);
    assertThat(tokenizer.decode(end)).isEmpty();
    assertThat(tokenizer.byteLength(end)).isZero();
    assertThat(tokenizer.isSpecial(end)).isTrue();
  }

  @Test
  void halfASurrogatePairBecomesTheReplacementCharacter() {
    for (String half : new String[] {"\ud83c", "\udf89"}) {
      String text = "x" + half + " y";
      assertThat(tokenizer.decode(tokenizer.encode(text))).isEqualTo("x\ufffd y");
    }
  }

  @Test
  void idsOutsideTheVocabularyAreRefused() {
    for (int id : new int[] {-1, tokenizer.vocabSize()}) {
      assertThatThrownBy(() -> tokenizer.decode(1, id))
          .isInstanceOf(MoeException.class)
          .hasMessage("token id " + id + " is outside the vocabulary of 700 tokens");
    }
  }
}

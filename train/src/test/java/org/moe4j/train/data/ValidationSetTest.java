package org.moe4j.train.data;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.moe4j.tensor.MoeException;

class ValidationSetTest {
  private final TokenStream stream = Streams.of(Fixtures.corpus().subList(0, 50));

  @Test
  void coversEveryTargetOnceInOrder() {
    for (int length : new int[] {1, 7, 64, 100_000}) {
      ValidationSet set = new ValidationSet(stream, 3, length, Integer.MAX_VALUE);
      List<Long> targets = new ArrayList<>();
      int at = 0;
      for (int i = 0; i < set.batches(); i++) {
        Batch batch = set.batch(i);
        assertThat(batch.length()).isEqualTo(length);
        assertThat(batch.inputs()).hasSize(batch.sequences() * length);
        for (int t = 0; t < batch.inputs().length; t++) {
          if (batch.targets()[t] == Batch.IGNORED) {
            assertThat(batch.domains()[t]).isEqualTo(TokenStream.NO_DOMAIN);
          } else {
            assertThat(batch.inputs()[t]).isEqualTo(stream.token(at++));
            targets.add(batch.targets()[t]);
          }
        }
      }
      assertThat(targets).hasSize(set.targets()).hasSize(stream.size() - 1);
      for (int i = 0; i < targets.size(); i++) {
        assertThat(targets.get(i)).isEqualTo(stream.token(i + 1));
      }
    }
  }

  @Test
  void textsAreNumberedFromTheirEndOfTextOn() {
    ValidationSet set = new ValidationSet(stream, 3, 7, Integer.MAX_VALUE);
    long text = -1;
    int at = 0;
    for (int i = 0; i < set.batches(); i++) {
      Batch batch = set.batch(i);
      for (int t = 0; t < batch.texts().length && at < set.targets(); t++, at++) {
        text += stream.token(at) == stream.endOfText() ? 1 : 0;
        assertThat(batch.texts()[t]).isEqualTo(text);
      }
    }
    assertThat(text).isEqualTo(49);
  }

  @Test
  void countsAreThoseOfTheTokens() {
    int vocab = Fixtures.tokenizer().vocabSize();
    long[] tokens = new long[vocab];
    long labelled = 0;
    for (int i = 0; i < stream.size(); i++) {
      tokens[stream.token(i)]++;
      labelled += stream.domain(i) == 0 ? 1 : 0;
    }
    assertThat(stream.counts(vocab, 2).tokens()).isEqualTo(tokens);
    assertThat(stream.counts(vocab, 2).domains()).containsExactly(labelled, 0);
  }

  @Test
  void bytesAreThoseOfTheTexts() {
    long expected = 0;
    for (String text : Fixtures.corpus().subList(0, 50)) {
      expected += text.getBytes(StandardCharsets.UTF_8).length;
    }
    ValidationSet set = new ValidationSet(stream, 4, 16, Integer.MAX_VALUE);
    assertThat(set.bytes()).isEqualTo(expected);
    // One bit a byte is ln 2 nats a byte.
    assertThat(set.bitsPerByte(expected * Math.log(2))).isEqualTo(1.0, within(1e-12));
  }

  @Test
  void canBeCutShort() {
    ValidationSet set = new ValidationSet(stream, 4, 16, 100);
    int scored = 0;
    long bytes = 0;
    for (int i = 0; i < set.batches(); i++) {
      scored += set.batch(i).scored();
    }
    for (int i = 1; i <= 100; i++) {
      bytes += Fixtures.tokenizer().byteLength(stream.token(i));
    }
    assertThat(scored).isEqualTo(100).isEqualTo(set.targets());
    assertThat(set.bytes()).isEqualTo(bytes);
    long[] symbols = {0, 0};
    set.bytes(symbol -> symbols[symbol == TokenStream.END ? 1 : 0]++);
    assertThat(symbols[0]).isEqualTo(bytes);
    assertThat(symbols[1]).isPositive();
  }

  @Test
  void impossibleSetsAreRefused() {
    assertThatThrownBy(() -> new ValidationSet(stream, 0, 16, 100))
        .isInstanceOf(MoeException.class);
    assertThatThrownBy(() -> new ValidationSet(stream, 4, 16, 0))
        .isInstanceOf(MoeException.class)
        .hasMessageContaining("validation of 0 targets");
  }
}

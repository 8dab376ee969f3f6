package org.moe4j;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;
import java.util.stream.LongStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.Tensor;

/** Hashes of several tokens, of the position and of the token to come (S13). */
class NgramHashRouterTest extends InScope {
  private static final int V = 30;
  private static final int E = 16;

  private static Router router(String name, Map<String, Object> options) {
    Map<String, Object> all = new HashMap<>(Map.of("vocab", V));
    all.putAll(options);
    MoeConfig config = MoeConfig.builder(4, 4, E, 1).router(name, all).build();
    return new MoeLayer(config, wide(1), 2).router();
  }

  private static Router router(String reads, int n) {
    return router("hash-ngram", Map.of("reads", reads, "n", n));
  }

  private long[] chosen(Router router, TokenContext context) {
    return ((TokenChoice) router.route(normal(context.tokens(), 4), context)).experts().toLongs();
  }

  private static Tensor ids(long... ids) {
    return Tensor.of(ids, ids.length);
  }

  private static long[] text(int length) {
    return LongStream.range(0, length).map(i -> (i * i * 7 + i * 3 + 1) % V).toArray();
  }

  @Test
  void eachReadsWhatItSays() {
    long[] a = {1, 2, 3, 1, 2, 3, 9, 2, 3};
    TokenContext context = TokenContext.eval(1, 9).withIds(ids(a));
    long[] bigram = chosen(router("ngram", 2), context);
    assertThat(bigram[2]).isEqualTo(bigram[5]).isEqualTo(bigram[8]);
    assertThat(bigram[1]).isEqualTo(bigram[4]);
    long[] trigram = chosen(router("ngram", 3), context);
    assertThat(trigram[2]).isEqualTo(trigram[5]).isNotEqualTo(trigram[8]);
    TokenContext pairs = TokenContext.eval(1, 4).withIds(ids(1, 5, 1, 8));
    long[] previous = chosen(router("previous", 2), pairs);
    assertThat(previous[1]).isEqualTo(previous[3]);
    long[] position = chosen(router("position", 2), TokenContext.eval(3, 3).withIds(ids(a)));
    assertThat(Arrays.copyOf(position, 3)).isEqualTo(Arrays.copyOfRange(position, 6, 9));
    assertThat(position[0] == position[1] && position[1] == position[2]).isFalse();
    TokenContext other = TokenContext.eval(1, 9).withIds(ids(4, 4, 3, 7, 2, 3, 1, 2, 9));
    long[] next = chosen(router("hash-future", Map.of()), context);
    long[] after = chosen(router("hash-future", Map.of()), other);
    assertThat(next[1]).isEqualTo(after[1]).isEqualTo(next[4]);
    assertThat(next[8]).isEqualTo(after[8]);
  }

  /** All pairs of a small vocabulary fall into the buckets evenly, and so do those of one word. */
  @Test
  void pairsAreSpreadEvenly() {
    Router router = router("ngram", 2);
    int[] all = new int[E];
    for (long a = 0; a < V; a++) {
      long first = a;
      long[] row = LongStream.range(0, 2 * V).map(i -> i % 2 == 0 ? first : i / 2).toArray();
      long[] chosen = chosen(router, TokenContext.eval(V, 2).withIds(ids(row)));
      int[] own = new int[E];
      for (int i = 1; i < chosen.length; i += 2) {
        own[(int) chosen[i]]++;
        all[(int) chosen[i]]++;
      }
      assertThat(Arrays.stream(own).max().orElse(0)).isLessThan(10);
    }
    double mean = (double) V * V / E;
    double chi = Arrays.stream(all).mapToDouble(n -> (n - mean) * (n - mean) / mean).sum();
    // The 99.9 % point at 15 degrees of freedom.
    assertThat(chi).isLessThan(37.7);
  }

  @ParameterizedTest
  @CsvSource({"ngram, 1", "ngram, 2", "ngram, 4", "previous, 2", "position, 2"})
  void decodingGoesOnAsIfReadAtOnce(String reads, int n) {
    Router router = router(reads, n);
    long[] both =
        LongStream.concat(LongStream.of(text(12)), LongStream.of(text(12)).map(v -> (v + 11) % V))
            .toArray();
    long[] whole = chosen(router, TokenContext.eval(2, 12).withIds(ids(both)));
    for (int cut : new int[] {1, 2, 5, 11}) {
      Tensor ids = Tensor.of(both, 2, 12);
      Tensor left = ids.narrow(1, 0, cut).contiguous();
      Tensor rest = ids.narrow(1, cut, 12 - cut).contiguous();
      TokenContext context =
          TokenContext.decode(2, 12 - cut).withIds(rest.reshape(-1)).withLeft(left);
      long[] later = chosen(router, context);
      assertThat(Arrays.copyOf(later, 12 - cut)).isEqualTo(Arrays.copyOfRange(whole, cut, 12));
      assertThat(Arrays.copyOfRange(later, 12 - cut, later.length))
          .isEqualTo(Arrays.copyOfRange(whole, 12 + cut, 24));
    }
  }

  @ParameterizedTest
  @CsvSource({"ngram, 2", "ngram, 3", "previous, 2", "position, 2"})
  void nothingIsReadAcrossTheBorderOfTwoTexts(String reads, int n) {
    Router router = router(reads, n);
    long[] ids = text(10);
    Tensor index = ids(0, 0, 0, 0, 1, 1, 1, 1, 1, 1);
    long[] packed =
        chosen(router, TokenContext.eval(1, 10).withIds(ids(ids)).withSequenceIndex(index));
    long[] first = chosen(router, TokenContext.eval(1, 4).withIds(ids(Arrays.copyOf(ids, 4))));
    long[] second =
        chosen(router, TokenContext.eval(1, 6).withIds(ids(Arrays.copyOfRange(ids, 4, 10))));
    assertThat(Arrays.copyOf(packed, 4)).isEqualTo(first);
    assertThat(Arrays.copyOfRange(packed, 4, 10)).isEqualTo(second);
  }

  @Test
  void theOracleIsRefusedUnlessForced() {
    MoeConfig config =
        MoeConfig.builder(4, 4, E, 1).router("hash-future", Map.of("vocab", V)).build();
    HashRouterTest.refused(
        () -> Validity.check(config, Validity.Use.CAUSAL_TRAINING, false), "hash-future");
    assertThat(Validity.check(config, Validity.Use.CAUSAL_TRAINING, true))
        .anyMatch(w -> w.contains("hash-future"));
    HashRouterTest.refused(
        () -> Validity.check(config, Validity.Use.DECODING, true), "hash-future");
  }

  @Test
  void badInputIsRefused() {
    HashRouterTest.refused(() -> router("ngram", 0), "option n is 0");
    TokenContext context = TokenContext.decode(1, 2).withIds(ids(3, 4));
    TokenContext unknown = context.withLeft(Tensor.of(new long[] {V}, 1, 1));
    Router router = router("ngram", 2);
    HashRouterTest.refused(() -> router.route(normal(2, 4), unknown), "before", "id 30");
    HashRouterTest.refused(() -> context.withLeft(Tensor.of(new long[4], 2, 2)), "1 sequences");
    TokenContext padded =
        TokenContext.eval(1, 4)
            .withIds(ids(7, -100, 3, 4))
            .withPadding(Tensor.of(new byte[] {1, 0, 1, 1}).to(DType.BOOL));
    assertThat(chosen(router, padded)[1]).isEqualTo(-1);
  }
}

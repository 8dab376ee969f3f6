package org.moe4j.models;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.Collections;
import java.util.List;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.moe4j.Capacity;
import org.moe4j.ExpertForm;
import org.moe4j.MoeConfig;
import org.moe4j.ParameterStore;

/** Shapes of published encoder-decoders against their published numbers of parameters. */
class EncoderDecoderSizesTest {
  static EncoderDecoderConfig config(
      int vocab, int d, int h, int heads, int headDim, List<Integer> blocks, boolean tied) {
    List<FeedForwardConfig> halves = blocks.stream().map(e -> half(d, h, e)).toList();
    return new EncoderDecoderConfig(
        vocab, d, heads, headDim, PositionBuckets.T5, halves, halves, Capacity.NONE, 1e-6, tied, 0);
  }

  private static FeedForwardConfig half(int d, int h, int experts) {
    if (experts == 0) {
      return new FeedForwardConfig.Dense(ExpertForm.RELU, h);
    }
    return new FeedForwardConfig.Moe(
        MoeConfig.builder(d, h, experts, 1).router("switch").form(ExpertForm.RELU).build());
  }

  /** S06: the totals that the published index files agree with. */
  @ParameterizedTest
  @CsvSource({
    "768, 3072, 12, 12, 8, 619339008",
    "768, 3072, 12, 12, 64, 3790748928",
    "768, 3072, 12, 12, 256, 14664154368",
    "1024, 4096, 16, 24, 128, 26309291008"
  })
  void switchBaseAndLarge(int d, int h, int heads, int layers, int experts, long total) {
    List<Integer> blocks =
        IntStream.range(0, layers).mapToObj(i -> i % 2 == 1 ? experts : 0).toList();
    assertThat(config(32_128, d, h, heads, 64, blocks, true).parameters().total()).isEqualTo(total);
  }

  /** S07: 1.57 T parameters, of which 980 M are no experts'. */
  @Test
  void switchC() {
    List<Integer> blocks = Collections.nCopies(15, 2048);
    ParameterCount count = config(32_128, 2080, 6144, 30, 64, blocks, false).parameters();
    assertThat(count.total()).isEqualTo(1_571_327_875_360L);
    assertThat(2 * count.total()).isEqualTo(3_142_655_750_720L);
    long expert = 25_559_040;
    assertThat(count.total() - 30 * 2048 * expert).isEqualTo(980_457_760L);
    assertThat(count.active()).isEqualTo(980_457_760L + 30 * expert);
  }

  @Test
  void theFormulaCountsWhatIsMade() {
    for (boolean tied : new boolean[] {true, false}) {
      EncoderDecoderConfig c = config(40, 16, 12, 3, 6, List.of(0, 4, 3), tied);
      try (EncoderDecoder model = new EncoderDecoder(c, new ParameterStore(1))) {
        assertThat(c.parameters().total()).isEqualTo(model.parameters().count(p -> true));
      }
    }
  }
}

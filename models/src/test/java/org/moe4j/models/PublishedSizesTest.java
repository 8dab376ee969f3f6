package org.moe4j.models;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import org.junit.jupiter.api.Test;
import org.moe4j.MoeConfig;

/** Shapes of published models against their published numbers of parameters. */
class PublishedSizesTest {
  /** S36: 16,375,728,128 in all. */
  @Test
  void deepSeekMoe16B() {
    MoeConfig moe =
        MoeConfig.builder(2048, 1408, 64, 6).router("deepseek-moe").sharedExperts(2).build();
    ParameterCount count =
        DecoderConfig.of(
                102_400,
                2048,
                AttentionConfig.of(2048, 16),
                FeedForwardConfig.firstDense(28, 1, FeedForwardConfig.swiglu(10_944), moe))
            .parameters();
    assertThat(count.total()).isEqualTo(16_375_728_128L);
    assertThat((double) count.active()).isCloseTo(2.8e9, within(0.05e9));
  }

  /** S44: 146B, of which 22B are active. */
  @Test
  void skyworkMoe() {
    MoeConfig moe = MoeConfig.builder(4608, 12_288, 16, 2).router("skywork").build();
    ParameterCount count =
        DecoderConfig.of(
                65_536,
                4608,
                AttentionConfig.of(4608, 36),
                FeedForwardConfig.every(52, new FeedForwardConfig.Moe(moe)))
            .parameters();
    assertThat((double) count.total()).isCloseTo(146.36e9, within(0.01e9));
    assertThat((double) count.active()).isCloseTo(22.69e9, within(0.01e9));
  }
}

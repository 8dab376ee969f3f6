package org.moe4j.models;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import org.junit.jupiter.api.Test;
import org.moe4j.tensor.MoeException;

class TokenSamplerTest {
  /** Probabilities 0.5, 0.25, 0.15, 0.1 at temperature 1, in another order. */
  private static final float[] LOGITS = {
    (float) Math.log(0.1), (float) Math.log(0.5), (float) Math.log(0.15), (float) Math.log(0.25)
  };

  private static double[] shares(Sampling sampling) {
    TokenSampler sampler = new TokenSampler(sampling);
    double[] share = new double[LOGITS.length];
    int draws = 40_000;
    for (int i = 0; i < draws; i++) {
      share[sampler.choose(LOGITS)] += 1.0 / draws;
    }
    return share;
  }

  @Test
  void greedyTakesTheLowestOfTheLargest() {
    assertThat(new TokenSampler(Sampling.GREEDY).choose(new float[] {1, 3, 3, 2})).isEqualTo(1);
  }

  @Test
  void temperatureOneDrawsTheProbabilities() {
    assertThat(shares(Sampling.at(1, 1)))
        .containsExactly(new double[] {0.1, 0.5, 0.15, 0.25}, within(0.01));
  }

  @Test
  void halfTheTemperatureSquaresThem() {
    double sum = 0.01 + 0.25 + 0.0225 + 0.0625;
    assertThat(shares(Sampling.at(0.5, 2)))
        .containsExactly(
            new double[] {0.01 / sum, 0.25 / sum, 0.0225 / sum, 0.0625 / sum}, within(0.01));
  }

  @Test
  void topKAndTopPKeepTheMostLikely() {
    assertThat(shares(new Sampling(1, 2, 1, 3)))
        .containsExactly(new double[] {0, 2.0 / 3, 0, 1.0 / 3}, within(0.01));
    assertThat(shares(new Sampling(1, 0, 0.8, 4)))
        .containsExactly(new double[] {0, 0.5 / 0.9, 0.15 / 0.9, 0.25 / 0.9}, within(0.01));
    assertThat(shares(new Sampling(1, 0, 1e-9, 5)))
        .containsExactly(new double[] {0, 1, 0, 0}, within(1e-9));
    assertThat(shares(new Sampling(1, 99, 1, 6)))
        .containsExactly(new double[] {0.1, 0.5, 0.15, 0.25}, within(0.01));
  }

  @Test
  void extremeLogitsAndTemperatures() {
    float[] extreme = {Float.NEGATIVE_INFINITY, 1e30f, 0, -1e30f};
    assertThat(new TokenSampler(Sampling.at(1e-6, 1)).choose(extreme)).isEqualTo(1);
    assertThatThrownBy(() -> new TokenSampler(Sampling.at(1, 1)).choose(new float[] {Float.NaN}))
        .isInstanceOf(MoeException.class);
  }

  @Test
  void settingsOutsideTheirRange() {
    assertThatThrownBy(() -> new Sampling(-1, 0, 1, 0)).hasMessageContaining("temperature");
    assertThatThrownBy(() -> new Sampling(Double.NaN, 0, 1, 0)).hasMessageContaining("temperature");
    assertThatThrownBy(() -> new Sampling(1, -1, 1, 0)).hasMessageContaining("top_k");
    assertThatThrownBy(() -> new Sampling(1, 0, 0, 0)).hasMessageContaining("top_p");
    assertThatThrownBy(() -> new Sampling(1, 0, 1.1, 0)).hasMessageContaining("top_p");
  }
}

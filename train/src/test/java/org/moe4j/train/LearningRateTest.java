package org.moe4j.train;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import org.junit.jupiter.api.Test;

class LearningRateTest {
  @Test
  void risesLinearlyThenFallsAsHalfACosine() {
    LearningRate rate = new LearningRate(1, 0.1, 10, 110);
    assertThat(rate.at(1)).isEqualTo(0.1);
    assertThat(rate.at(5)).isEqualTo(0.5);
    assertThat(rate.at(10)).isEqualTo(1);
    assertThat(rate.at(60)).isCloseTo(0.55, within(1e-12));
    assertThat(rate.at(110)).isCloseTo(0.1, within(1e-12));
    for (int step = 10; step < 110; step++) {
      assertThat(rate.at(step + 1)).isLessThan(rate.at(step));
    }
  }

  @Test
  void worksWithoutWarmupAndWithNothingElse() {
    assertThat(new LearningRate(1, 0, 0, 4).at(2)).isCloseTo(0.5, within(1e-12));
    assertThat(new LearningRate(1, 0, 4, 4).at(3)).isEqualTo(0.75);
    assertThat(new LearningRate(1, 0.5, 4, 4).at(4)).isEqualTo(0.5);
  }
}

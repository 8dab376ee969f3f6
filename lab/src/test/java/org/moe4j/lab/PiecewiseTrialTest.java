package org.moe4j.lab;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.Map;
import org.junit.jupiter.api.Test;
import org.moe4j.tensor.Device;

class PiecewiseTrialTest {
  private static final Bench BENCH = new Bench(Device.CPU);

  private static double unexplained(PiecewiseArm arm, long seed, int steps) {
    try (Trial trial = arm.start(BENCH, seed, steps)) {
      for (int i = 0; i < steps; i++) {
        trial.step();
      }
      return trial.finish().values().get(PiecewiseArm.UNEXPLAINED.key());
    }
  }

  @Test
  void aLayerThatLearnedNothingExplainsNothingAndTrainingDoes() {
    PiecewiseArm arm = new PiecewiseArm("softmax-top-k", Map.of(), 0.01);
    assertThat(unexplained(arm, 1, 1)).isBetween(0.8, 1.5);
    assertThat(unexplained(arm, 1, 200)).isLessThan(0.5);
  }

  @Test
  void aSeedGivesTheSameAgainAndAnotherAnother() {
    PiecewiseArm arm = new PiecewiseArm("grin", Map.of(), 0.01);
    assertThat(unexplained(arm, 1, 5))
        .isEqualTo(unexplained(arm, 1, 5))
        .isNotEqualTo(unexplained(arm, 2, 5));
  }

  @Test
  void bothRoutersCostTheSame() {
    assertThat(new PiecewiseArm("grin", Map.of(), 0.01).cost(BENCH))
        .isEqualTo(new PiecewiseArm("softmax-top-k", Map.of(), 0.01).cost(BENCH));
  }
}

package org.moe4j.lab;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.List;
import org.junit.jupiter.api.Test;

/** What a run's values say of its steps. */
class TrialLogTest {
  @Test
  void theLossIsTheMeanOfTheLastTenth() {
    TrialLog log = new TrialLog();
    for (int i = 1; i <= 20; i++) {
      log.add(i, List.of(), 0.001);
    }
    assertThat(log.values()).containsEntry(Metric.TRAINING_LOSS.key(), 19.5);
    assertThat(log.isSparse()).isFalse();
  }

  @Test
  void theMedianOfAnEvenNumberLiesBetweenTheMiddleTwo() {
    assertThat(Statistics.median(4, 1, 3, 2)).isEqualTo(2.5);
    assertThat(Statistics.median(7)).isEqualTo(7);
    assertThat(Statistics.median()).isNaN();
  }
}

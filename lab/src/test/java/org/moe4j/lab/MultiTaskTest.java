package org.moe4j.lab;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import org.junit.jupiter.api.Test;
import org.moe4j.tensor.Device;
import org.moe4j.tensor.RandomSource;
import org.moe4j.tensor.Scope;

class MultiTaskTest {
  private static final int EXAMPLES = 8192;

  @Test
  void targetsHaveMeanZeroAndVarianceOneAndAgreeWithinAClusterAlone() {
    try (MultiTask tasks = new MultiTask(3, Device.CPU);
        Scope scope = Scope.open()) {
      double[] y = tasks.draw(EXAMPLES, new RandomSource(5)).targets().toDoubles();
      double within = 0;
      double across = 0;
      for (int a = 0; a < MultiTask.TASKS; a++) {
        assertThat(mean(y, a, -1)).isCloseTo(0, within(0.15));
        assertThat(mean(y, a, a)).isCloseTo(1, within(0.1));
        for (int b = 0; b < a; b++) {
          double correlation = Math.abs(mean(y, a, b));
          if (MultiTask.cluster(a) == MultiTask.cluster(b)) {
            within += correlation / 24;
          } else {
            across += correlation / 96;
          }
        }
      }
      // The mixtures of a cluster's two functions have shares between 0.3 and 0.7.
      assertThat(within).isGreaterThan(0.8);
      assertThat(across).isLessThan(0.3);
    }
  }

  private static double mean(double[] y, int a, int b) {
    double sum = 0;
    for (int i = 0; i < EXAMPLES; i++) {
      int row = i * MultiTask.TASKS;
      sum += y[row + a] * (b < 0 ? 1 : y[row + b]);
    }
    return sum / EXAMPLES;
  }

  @Test
  void agreementIsOneIfEachClusterHasItsOwnTwoExpertsAndZeroIfAllHaveTheSame() {
    assertThat(MultiTaskTrial.agreement(choosing(true))).isEqualTo(1);
    assertThat(MultiTaskTrial.agreement(choosing(false))).isEqualTo(0);
  }

  /** Weights [tasks,E] of two experts a task: those of its cluster, or the first two. */
  private static double[] choosing(boolean byCluster) {
    double[] weights = new double[MultiTask.TASKS * MultiTaskArm.EXPERTS];
    for (int task = 0; task < MultiTask.TASKS; task++) {
      int first = task * MultiTaskArm.EXPERTS + (byCluster ? 2 * MultiTask.cluster(task) : 0);
      weights[first] = 0.6;
      weights[first + 1] = 0.4;
    }
    return weights;
  }

  @Test
  void aTrialLearnsTheTasksAndASeedGivesTheSameAgain() {
    Bench bench = new Bench(Device.CPU);
    MultiTaskArm arm = MultiTaskArm.of("softmax-top-k", 2);
    Measurement few = run(arm, bench, 5);
    Measurement many = run(arm, bench, 200);
    assertThat(many.values().get("mse")).isLessThan(0.3 * few.values().get("mse"));
    assertThat(many.values().get("experts")).isEqualTo(2);
    assertThat(run(arm, bench, 5).values()).isEqualTo(few.values());
  }

  private static Measurement run(MultiTaskArm arm, Bench bench, int steps) {
    try (Trial trial = arm.start(bench, 1, steps)) {
      for (int i = 0; i < steps; i++) {
        trial.step();
      }
      return trial.finish();
    }
  }
}

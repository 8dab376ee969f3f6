package org.moe4j.train;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.io.IOException;
import java.nio.file.Path;
import java.util.Arrays;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.moe4j.Parameter;
import org.moe4j.Role;
import org.moe4j.RoutingStats;
import org.moe4j.tensor.NoGrad;
import org.moe4j.tensor.Ops;

/** State that controllers move once per step, and the routers that come with it. */
class ControlledTrainingTest {
  private static final String BIAS = "layers.1.moe.gate.e_score_correction_bias";

  @TempDir Path folder;

  @BeforeEach
  void text() throws IOException {
    Ops.threads(1);
    Tiny.corpus(folder);
  }

  private TinyTraining make(String... overrides) {
    return TinyTraining.of(folder, overrides);
  }

  @Test
  void accumulatedBatchesMoveTheBiasOnceByTheirSum() {
    try (TinyTraining m =
        make("moe.router=loss-free", "train.accumulate=4", "moe.options.bias-rate=0.01")) {
      double[] expected = new double[4];
      for (int step = 0; step < 3; step++) {
        RoutingStats stats = m.trainer().step().routing().get(1);
        double[] asked = stats.asked();
        double mean = Arrays.stream(asked).average().orElseThrow();
        assertThat(mean).isEqualTo(4 * 4 * 16 * 2 / 4.0);
        for (int e = 0; e < 4; e++) {
          expected[e] += 0.01 * Math.signum(mean - asked[e]);
        }
        assertThat(m.values(BIAS)).containsExactly(expected, within(1e-7));
      }
      m.trainer().validate(m.corpus().validation());
      assertThat(m.values(BIAS)).containsExactly(expected, within(1e-7));
    }
  }

  @Test
  void aSkippedStepMovesNoState() {
    try (TinyTraining m = make("moe.router=sigmoid-top-k", "model.tie-embeddings=false")) {
      m.trainer().step();
      double[] before = m.values(BIAS);
      assertThat(before).contains(0.001f);
      try (NoGrad off = NoGrad.open()) {
        // Behind the routers, so that only the loss is not finite.
        m.model().head().tensor().fillInPlace(Float.NaN);
      }
      assertThat(m.trainer().step().skipped()).isTrue();
      assertThat(m.values(BIAS)).containsExactly(before);
    }
  }

  @Test
  void theBiasEvensTheLoadsWithoutALoss() {
    double[] violation = new double[2];
    for (int i = 0; i < 2; i++) {
      String rate = "moe.options.bias-rate=" + (i == 0 ? "0" : "0.01");
      try (TinyTraining m = make("moe.router=loss-free", "moe.z-loss=0", rate)) {
        for (int step = 0; step < 60; step++) {
          double now = m.trainer().step().routing().get(1).maxViolation();
          violation[i] += step < 40 ? 0 : now / 20;
        }
      }
    }
    assertThat(violation[1]).isLessThan(0.6 * violation[0]);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {"loss-free", "deepseek-moe", "skywork", "deepseek-v2", "yuan-attention", "rmoe"})
  void everyRouterLearnsInBf16(String router) {
    try (TinyTraining m =
        make(
            "moe.router=" + router,
            "moe.experts=8",
            "moe.shared-experts=1",
            "train.precision=bf16",
            "train.steps=25")) {
      double first = m.trainer().step().loss();
      double last = first;
      while (m.trainer().steps() < 25) {
        StepResult step = m.trainer().step();
        assertThat(step.skipped()).isFalse();
        last = step.loss();
      }
      assertThat(last).isLessThan(0.85 * first);
      for (Parameter p : m.model().parameters().all()) {
        if (p.role() instanceof Role.State) {
          assertThat(Arrays.stream(m.values(p.name())).anyMatch(v -> v != 0 && v != 0.01))
              .as(p.name())
              .isTrue();
        }
      }
    }
  }

  @Test
  void entropyLossesReadTheDomainsOfTheCorpus() {
    try (TinyTraining m = make("moe.losses.limoe-local=0.01", "moe.losses.limoe-global=0.01")) {
      assertThat(m.trainer().step().balance()).containsKeys("limoe-local", "limoe-global");
    }
  }
}

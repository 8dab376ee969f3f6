package org.moe4j.lab;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.moe4j.tensor.MoeException;

class ScalingLawTest {
  private static final ScalingLaw PAPER =
      new ScalingLaw(-0.082, -0.108, 0.009, 1.104, 1.847, 314.478);

  @Test
  void effectiveExpertsRiseFromStartToMost() {
    assertThat(ScalingLaw.effectiveExperts(1, 1.847, 314.478)).isCloseTo(1.847, within(1e-12));
    assertThat(ScalingLaw.effectiveExperts(1e12, 1.847, 314.478)).isCloseTo(314.478, within(1e-6));
    assertThat(ScalingLaw.effectiveExperts(8, 1, Double.POSITIVE_INFINITY)).isEqualTo(8);
  }

  /** S17's figures for S-BASE: a routed model and the dense one of the same loss. */
  @Test
  void effectiveParametersAreThePapers() {
    assertThat(PAPER.effectiveParameters(5e6, 128)).isCloseTo(51.8e6, within(0.05e6));
    assertThat(PAPER.effectiveParameters(15e6, 128)).isCloseTo(126e6, within(0.5e6));
    assertThat(PAPER.effectiveParameters(370e6, 128)).isCloseTo(1.68e9, within(0.005e9));
    double same = PAPER.effectiveParameters(3e7, 64);
    assertThat(PAPER.loss(same, 1)).isCloseTo(PAPER.loss(3e7, 64), within(1e-9));
  }

  @Test
  void theFitFindsTheCoefficientsOfNoisyLosses() {
    Random random = new Random(3);
    List<ScalingLaw.Point> points = new ArrayList<>();
    for (double n : new double[] {1.65e7, 2.73e7, 5.74e7, 3.68e8, 1.31e9}) {
      for (double e = 1; e <= 512; e *= 2) {
        double noise = 1 + 0.001 * random.nextGaussian();
        points.add(new ScalingLaw.Point(n, e, PAPER.loss(n, e) * noise));
      }
    }
    ScalingLaw found = ScalingLawFit.of(ScalingLaw.Form.UNIFIED, points);
    assertThat(found.a()).isCloseTo(PAPER.a(), within(0.02 * 0.082));
    assertThat(found.b()).isCloseTo(PAPER.b(), within(0.06 * 0.108));
    assertThat(found.c()).isCloseTo(PAPER.c(), within(0.08 * 0.009));
    assertThat(found.d()).isCloseTo(PAPER.d(), within(0.02 * 1.104));
    assertThat(found.start()).isCloseTo(PAPER.start(), within(0.35 * 1.847));
    assertThat(found.most()).isCloseTo(PAPER.most(), within(0.35 * 314.478));
  }

  @Test
  void refusesTooFewPoints() {
    List<ScalingLaw.Point> six =
        List.of(1, 2, 4, 8, 16, 32).stream().map(e -> new ScalingLaw.Point(1e6 * e, e, 3)).toList();
    assertThatThrownBy(() -> ScalingLawFit.of(ScalingLaw.Form.UNIFIED, six))
        .isInstanceOf(MoeException.class)
        .hasMessageContaining("6 points");
    assertThatThrownBy(() -> new ScalingLaw.Point(1e6, 0.5, 3)).isInstanceOf(MoeException.class);
    assertThatThrownBy(() -> new ScalingLaw.Point(1e6, 1, 0)).isInstanceOf(MoeException.class);
  }

  @Test
  void savedComputeIsTheCurvesDistance() {
    ComputeSaving dense =
        new ComputeSaving(
            List.of(
                new ComputeSaving.Model(4, 3),
                new ComputeSaving.Model(16, 2.5),
                new ComputeSaving.Model(64, 2.25)));
    assertThat(dense.factor(new ComputeSaving.Model(16, 2.5)).orElseThrow())
        .isCloseTo(1, within(1e-12));
    assertThat(dense.factor(new ComputeSaving.Model(4, 2.5)).orElseThrow())
        .isCloseTo(4, within(1e-12));
    assertThat(dense.compute(2.75).orElseThrow()).isCloseTo(8, within(1e-12));
    assertThat(dense.compute(2.2)).isEmpty();
    assertThat(dense.compute(3.1)).isEmpty();
    assertThat(dense.factor(new ComputeSaving.Model(8, 2.2)).orElseThrow())
        .isCloseTo(8, within(1e-12));
    assertThat(dense.factor(new ComputeSaving.Model(8, 3.1))).isEmpty();
  }
}

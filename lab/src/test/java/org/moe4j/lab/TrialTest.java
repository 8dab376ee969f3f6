package org.moe4j.lab;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.moe4j.tensor.Device;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.Tensor;

/** Both kinds of small models, on a text that is made up. */
class TrialTest {
  private static final Bench BENCH = new Bench(Device.CPU);

  @TempDir static Path folder;
  private static LanguageArm arm = LanguageArm.of();

  @BeforeAll
  static void text() throws IOException {
    StringBuilder text = new StringBuilder();
    for (int i = 0; i < 900; i++) {
      text.append("a ").append(i % 7 < 3 ? "small dog barks " : "grey oak grows ").append(i % 10);
      text.append("\n\n");
    }
    Path file = Files.writeString(folder.resolve("text.txt"), text);
    arm =
        LanguageArm.of(
            "data.source=" + file,
            "data.vocab-size=280",
            "data.sequence-length=16",
            "data.validation-fraction=0.2",
            "model.hidden=16",
            "model.heads=2",
            "model.kv-heads=2",
            "moe.expert-ffn=16");
  }

  private static Measurement run(Workload work, long seed, int steps) {
    try (Trial trial = work.start(BENCH, seed, steps)) {
      for (int i = 0; i < steps; i++) {
        trial.step();
      }
      return trial.finish();
    }
  }

  private static double loss(Workload work, long seed, int steps) {
    return run(work, seed, steps).values().get(Metric.LOSS.key());
  }

  @Test
  void aSeedGivesTheSameModelAgainAndAnotherAnother() {
    assertThat(loss(arm, 1, 5)).isEqualTo(loss(arm, 1, 5)).isNotEqualTo(loss(arm, 2, 5));
    Workload masked = new MaskedArm(arm);
    assertThat(loss(masked, 1, 5)).isEqualTo(loss(masked, 1, 5)).isNotEqualTo(loss(masked, 2, 5));
  }

  @Test
  void bothKindsLearn() {
    assertThat(loss(arm, 1, 40)).isLessThan(0.7 * loss(arm, 1, 1));
    Workload masked = new MaskedArm(arm.with("moe.router=expert-choice", "moe.top-k=1"));
    assertThat(loss(masked, 1, 60)).isLessThan(0.9 * loss(masked, 1, 1));
  }

  @Test
  void expertsThatChooseAreEvenlyLoadedAndNotForCausalModels() {
    LanguageArm looking = arm.with("moe.router=expert-choice", "moe.top-k=1");
    assertThat(run(new MaskedArm(looking), 1, 2).values().get(Metric.IMBALANCE.key())).isEqualTo(1);
    assertThatThrownBy(() -> looking.start(BENCH, 1, 2))
        .isInstanceOf(MoeException.class)
        .hasMessageContaining("expert-choice");
  }

  @Test
  void whatASmallBufferDropsIsMeasured() {
    LanguageArm tight =
        arm.with("moe.top-k=1", "moe.dispatcher=capacity", "moe.capacity-factor=0.5");
    assertThat(run(tight, 1, 2).values().get(Metric.DROPPED.key())).isBetween(0.49, 1.0);
    assertThat(run(arm, 1, 2).values().get(Metric.DROPPED.key())).isZero();
  }

  @Test
  void whatIsWatchedBecomesACurveAndTheMeanOfItsEndAValue() {
    Measurement run = run(arm.watching("step", step -> (double) step.step()), 1, 20);
    assertThat(run.values().get("step")).isEqualTo(19.5);
    assertThat(run.curves().get("step").values()).hasSize(20).startsWith(1.0).endsWith(20.0);
  }

  @Test
  void theCostIsCountedFromTheShape() {
    Cost cost = arm.cost(BENCH);
    assertThat(cost.tokensPerStep()).isEqualTo(8 * 16);
    assertThat(cost.active()).isLessThan(cost.parameters());
    // Three choices for two: one more SwiGLU expert of three 16 x 16 matrices.
    long more = arm.with("moe.top-k=3").cost(BENCH).flops() - cost.flops();
    assertThat(more).isEqualTo(2 * 3 * 16 * 16);
  }

  @Test
  void aTrainedModelIsScoredWithOtherNumbersOfExperts() {
    LanguageArm all = arm.with("moe.router=ds-moe", "moe.options.gate=linear", "moe.top-k=4");
    LanguageArm measured =
        all.measuring("same", new LossUnder(all))
            .measuring("one", new LossUnder(all.with("moe.top-k=1")));
    Map<String, Double> values = run(measured, 1, 40).values();
    assertThat(values.get("same")).isEqualTo(values.get(Metric.LOSS.key()));
    assertThat(values.get("one")).isNotEqualTo(values.get(Metric.LOSS.key()));
  }

  @Test
  void gatesAreAsSharpAsTheirTwoLargestMeans() {
    Tensor gates = Tensor.of(new double[] {0.1, 0.6, 0.3, 0.2, 0.1, 0.7}, 2, 3);
    assertThat(GateSharpness.of(gates)).isCloseTo(0.65 / 0.25, within(1e-12));
    LanguageArm sharp = arm.with("moe.router=skywork", "moe.options.logit-scale=2");
    LanguageArm soft = arm.with("moe.router=skywork", "moe.options.logit-scale=0.1");
    assertThat(sharpness(sharp)).isGreaterThan(1.5);
    // Logits of deviation 0.1 lie within sqrt(2 (E - 1)) of it.
    assertThat(sharpness(soft)).isBetween(1.0, Math.exp(0.1 * Math.sqrt(14)));
  }

  @Test
  void aSettingReplacesThatOfItsKey() {
    LanguageArm narrow = LanguageArm.of("moe.experts=4", "moe.router=switch").narrow();
    assertThat(narrow.with("train.learning-rate=2e-3", "moe.experts=8").settings())
        .containsExactly(
            "moe.experts=8",
            "moe.router=switch",
            "model.hidden=32",
            "model.heads=2",
            "model.kv-heads=2",
            "train.learning-rate=2e-3",
            "train.min-learning-rate=8e-4");
  }

  private static double sharpness(LanguageArm of) {
    return run(of.measuring("sharpness", new GateSharpness(of)), 1, 2).values().get("sharpness");
  }
}

package org.moe4j.lab;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.moe4j.tensor.MoeException;

class VerdictTest {
  private static final Criterion BETTER =
      Criterion.better("ours", "theirs", Metric.LOSS, 0.02, 0.005);
  private static final Criterion NOT_WORSE =
      Criterion.notWorse("ours", "theirs", Metric.LOSS, 0.01);

  private static Verdict verdict(Criterion c, List<Double> ours, List<Double> theirs) {
    return Judgement.of(List.of(c), Synthetic.losses(ours, theirs)).verdict();
  }

  @Test
  void aClearEffectHoldsAndItsOppositeContradicts() {
    List<Double> low = List.of(2.90, 2.91, 2.92);
    List<Double> high = List.of(3.00, 3.01, 3.00);
    assertThat(verdict(BETTER, low, high)).isEqualTo(Verdict.HOLDS);
    assertThat(verdict(BETTER, high, low)).isEqualTo(Verdict.CONTRADICTS);
  }

  @Test
  void anEffectBelowTheLeastThatCountsDoesNotShow() {
    assertThat(verdict(BETTER, List.of(2.99), List.of(3.00))).isEqualTo(Verdict.DOES_NOT_SHOW);
    assertThat(verdict(BETTER, List.of(2.98), List.of(3.00))).isEqualTo(Verdict.HOLDS);
  }

  @Test
  void anEffectSmallerThanTheSpreadOverSeedsDoesNotShow() {
    // 2 % better on average, but the seeds say +8 %, -4 % and +2 %.
    assertThat(verdict(BETTER, List.of(2.76, 3.12, 2.94), List.of(3.0, 3.0, 3.0)))
        .isEqualTo(Verdict.DOES_NOT_SHOW);
    // The same mean with agreeing seeds.
    assertThat(verdict(BETTER, List.of(2.93, 2.94, 2.95), List.of(3.0, 3.0, 3.0)))
        .isEqualTo(Verdict.HOLDS);
  }

  @Test
  void seedsArePaired() {
    // Seeds differ by far more than the arms do, but in every one of them ours is 1 % better.
    assertThat(verdict(BETTER, List.of(2.97, 3.96, 4.95), List.of(3.0, 4.0, 5.0)))
        .isEqualTo(Verdict.HOLDS);
  }

  @Test
  void aMarginCanBeKeptMissedOrLeftOpen() {
    assertThat(verdict(NOT_WORSE, List.of(3.01, 3.02), List.of(3.0, 3.01)))
        .isEqualTo(Verdict.HOLDS);
    assertThat(verdict(NOT_WORSE, List.of(3.20, 3.21), List.of(3.0, 3.0)))
        .isEqualTo(Verdict.CONTRADICTS);
    assertThat(verdict(NOT_WORSE, List.of(2.95, 3.10), List.of(3.0, 3.0)))
        .isEqualTo(Verdict.DOES_NOT_SHOW);
  }

  @Test
  void whatDivergedShowsNothing() {
    assertThat(verdict(BETTER, List.of(Double.NaN, 2.9), List.of(3.0, 3.0)))
        .isEqualTo(Verdict.DOES_NOT_SHOW);
  }

  @Test
  void allPartsOfAClaimMustHold() {
    assertThat(Verdict.all(List.of(Verdict.HOLDS, Verdict.HOLDS))).isEqualTo(Verdict.HOLDS);
    assertThat(Verdict.all(List.of(Verdict.HOLDS, Verdict.DOES_NOT_SHOW)))
        .isEqualTo(Verdict.DOES_NOT_SHOW);
    assertThat(Verdict.all(List.of(Verdict.DOES_NOT_SHOW, Verdict.CONTRADICTS)))
        .isEqualTo(Verdict.CONTRADICTS);
  }

  @Test
  void aClaimAndItsOppositeNeverBothHold() {
    SplittableRandom random = new SplittableRandom(1);
    for (int i = 0; i < 2000; i++) {
      List<Double> ours = new ArrayList<>();
      List<Double> theirs = new ArrayList<>();
      for (int seed = 0; seed <= i % 4; seed++) {
        ours.add(3 + 0.1 * random.nextDouble());
        theirs.add(3 + 0.1 * random.nextDouble());
      }
      Results results = Synthetic.losses(ours, theirs);
      Finding one = BETTER.judge(results);
      Finding other = BETTER.swapped().judge(results);
      assertThat(other.effect()).isEqualTo(-one.effect());
      assertThat(one.verdict() == Verdict.HOLDS).isEqualTo(other.verdict() == Verdict.CONTRADICTS);
    }
  }

  @Test
  void aClaimThatCannotFailIsRefused() {
    Experiment e = Synthetic.experiment(3, 3, Synthetic.COST);
    assertThatThrownBy(() -> Experiment.of(e.id(), "", "", e.arms(), List.of(NOT_WORSE), e.held()))
        .isInstanceOf(MoeException.class)
        .hasMessageContaining("could not fail");
    assertThatThrownBy(() -> Criterion.better("ours", "theirs", Metric.LOSS, 0.1, 0))
        .hasMessageContaining("threshold");
  }

  @Test
  void thePartThatDecidesIsTheFirstWithTheVerdictOfAll() {
    Results results = Synthetic.losses(List.of(2.99, 2.98), List.of(3.0, 3.0));
    Criterion asksTooMuch = Criterion.better("ours", "theirs", Metric.LOSS, 0.1, 0.05);
    Judgement all = Judgement.of(List.of(NOT_WORSE, asksTooMuch), results);
    assertThat(all.verdict()).isEqualTo(Verdict.DOES_NOT_SHOW);
    assertThat(all.deciding().criterion()).isEqualTo(asksTooMuch);
    Judgement holding = Judgement.of(List.of(NOT_WORSE), results);
    assertThat(holding.deciding().criterion()).isEqualTo(NOT_WORSE);
  }
}

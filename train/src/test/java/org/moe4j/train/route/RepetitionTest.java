package org.moe4j.train.route;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class RepetitionTest {
  @Test
  void byHand() {
    RepetitionAnalysis analysis = new RepetitionAnalysis(1, 4, 2);
    // {0,1} {0,2} {3,0} {3,1}: firsts 0 0 3 3.
    analysis.add(Traces.line(1, 2, 3, 4), Traces.chosen(4, 2, 0, 1, 0, 2, 3, 0, 3, 1));
    Repetition r = analysis.result();
    assertThat(r.pairs()).isEqualTo(3);
    assertThat(r.first()).isEqualTo(2 / 3.0, within(1e-12));
    assertThat(r.either()).isEqualTo(1);
    assertThat(r.overlap()).isEqualTo(0.5, within(1e-12));
    assertThat(r.firstChance()).isEqualTo(4 / 12.0, within(1e-12));
    // Of the six pairs of tokens only {0,2} and {3,1} have nothing in common.
    assertThat(r.eitherChance()).isEqualTo(5 / 6.0, within(1e-12));
  }

  @Test
  void anEvenIndependentRouterRepeatsAsOftenAsTheFormulasSay() {
    RepetitionAnalysis analysis = new RepetitionAnalysis(1, 8, 2);
    SplittableRandom random = new SplittableRandom(5);
    for (int b = 0; b < 200; b++) {
      analysis.add(
          Traces.line(new long[1000]), Traces.chosen(8, 2, Traces.even(random, 1000, 8, 2)));
    }
    Repetition r = analysis.result();
    assertThat(Repetition.evenFirst(8)).isEqualTo(0.125);
    assertThat(Repetition.evenEither(8)).isEqualTo(0.464, within(5e-4));
    assertThat(r.first()).isEqualTo(0.125, within(0.004));
    assertThat(r.either()).isEqualTo(0.464, within(0.004));
    assertThat(r.firstChance()).isEqualTo(0.125, within(0.001));
    assertThat(r.eitherChance()).isEqualTo(0.464, within(0.001));
  }

  @ParameterizedTest
  @CsvSource({"4, 1", "5, 2", "8, 3", "200, 4"})
  void chanceIsThatOfTwoTokensTakenAnywhere(int experts, int k) {
    int n = 60;
    int[] choices = Traces.even(new SplittableRandom(experts), n, Math.min(experts, 9), k);
    RepetitionAnalysis analysis = new RepetitionAnalysis(1, experts, k);
    analysis.add(Traces.line(new long[n]), Traces.chosen(experts, k, choices));
    double same = 0;
    double either = 0;
    double overlap = 0;
    for (int a = 0; a < n; a++) {
      for (int b = 0; b < n; b++) {
        if (a != b) {
          same += choices[a * k] == choices[b * k] ? 1 : 0;
          either += common(choices, a, b, k, Math.min(2, k)) > 0 ? 1 : 0;
          overlap += (double) common(choices, a, b, k, k) / k;
        }
      }
    }
    double all = n * (n - 1);
    Repetition r = analysis.result();
    assertThat(r.firstChance()).isEqualTo(same / all, within(1e-12));
    assertThat(r.overlapChance()).isEqualTo(overlap / all, within(1e-12));
    if (k > 1) {
      assertThat(r.eitherChance()).isEqualTo(either / all, within(1e-12));
    } else {
      assertThat(r.either()).isNaN();
    }
  }

  private static int common(int[] choices, int a, int b, int k, int ranks) {
    int common = 0;
    for (int i = 0; i < ranks; i++) {
      for (int j = 0; j < ranks; j++) {
        common += choices[a * k + i] == choices[b * k + j] ? 1 : 0;
      }
    }
    return common;
  }

  @Test
  void sequencesAndPaddingHaveNoNeighbours() {
    RepetitionAnalysis analysis = new RepetitionAnalysis(2, 2, 1);
    TokenBatch batch =
        new TokenBatch(
            2,
            3,
            new long[6],
            new int[] {0, 1},
            new long[] {0, 1},
            new boolean[] {false, true, true, false, true, false});
    analysis.add(batch, Traces.chosen(2, 1, 0, 0, 0, 0, 0, 0));
    assertThat(analysis.result().pairs()).isEqualTo(1);
    assertThat(analysis.byDomain().get(1).pairs()).isZero();
    assertThat(analysis.byDomain().get(1).first()).isNaN();
    assertThat(analysis.byDomain().get(1).firstChance()).isNaN();
  }
}

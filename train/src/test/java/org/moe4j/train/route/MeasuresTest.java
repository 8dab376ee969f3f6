package org.moe4j.train.route;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.moe4j.tensor.Scope;
import org.moe4j.tensor.Tensor;

class MeasuresTest {
  @Test
  void loadIsCountedByDomainAndRank() {
    LoadAnalysis load = new LoadAnalysis(2, 3);
    load.add(Traces.batch(2, 1, new long[2], 1, 0), Traces.chosen(3, 2, 0, 2, 2, 1));
    assertThat(load.any()).isDeepEqualTo(new double[][] {{0, 1, 1}, {1, 0, 1}});
    assertThat(load.first()).isDeepEqualTo(new double[][] {{0, 0, 1}, {1, 0, 0}});
    assertThat(load.second()).isDeepEqualTo(new double[][] {{0, 1, 0}, {0, 0, 1}});
    assertThat(load.load()).containsExactly(1, 1, 2);
  }

  @Test
  void domainsWithExpertsOfTheirOwnTellOneBit() {
    SpecialisationAnalysis analysis = new SpecialisationAnalysis(2, 2, 1);
    int[] choices = new int[8192];
    Arrays.fill(choices, 4096, 8192, 1);
    analysis.add(Traces.batch(2, 4096, new long[8192], 0, 1), Traces.chosen(2, 1, choices));
    Specialisation s = analysis.result();
    assertThat(s.bits()).isEqualTo(1, within(1e-12));
    assertThat(s.chance()).isLessThan(0.05);
    assertThat(s.normalised()).isBetween(0.95, 1.0);
  }

  @Test
  void tokensOfAllDomainsAlikeTellNothingMoreThanChance() {
    SplittableRandom random = new SplittableRandom(2);
    SpecialisationAnalysis analysis = new SpecialisationAnalysis(4, 16, 1);
    for (int b = 0; b < 20; b++) {
      analysis.add(
          Traces.batch(4, 256, new long[1024], 0, 1, 2, 3),
          Traces.chosen(16, 2, Traces.even(random, 1024, 16, 2)));
    }
    Specialisation s = analysis.result();
    assertThat(s.bits()).isLessThan(0.01);
    assertThat(s.bits() - s.chance()).isBetween(-0.001, 0.001);
  }

  @Test
  void aTextOfOneStretchADomainDoesNotLookSpecialised() {
    SpecialisationAnalysis analysis = new SpecialisationAnalysis(2, 2, 1);
    analysis.add(
        Traces.batch(2, 4, new long[8], 0, 1), Traces.chosen(2, 1, 0, 0, 0, 0, 1, 1, 1, 1));
    Specialisation s = analysis.result();
    assertThat(s.bits()).isEqualTo(1, within(1e-12));
    assertThat(s.chance()).isEqualTo(1, within(1e-12));
    assertThat(s.normalised()).isZero();
  }

  @Test
  void renumberedExpertsAreAsSpecialised() {
    SplittableRandom random = new SplittableRandom(3);
    int[] choices = new int[1024];
    Arrays.setAll(choices, t -> t < 512 ? random.nextInt(3) : random.nextInt(4));
    int[] moved = Arrays.stream(choices).map(e -> (e + 1) % 4).toArray();
    TokenBatch batch = Traces.batch(2, 512, new long[1024], 0, 1);
    SpecialisationAnalysis a = new SpecialisationAnalysis(2, 4, 9);
    SpecialisationAnalysis b = new SpecialisationAnalysis(2, 4, 9);
    a.add(batch, Traces.chosen(4, 1, choices));
    b.add(batch, Traces.chosen(4, 1, moved));
    assertThat(a.result().bits()).isEqualTo(b.result().bits(), within(1e-12));
    assertThat(a.result().chance()).isEqualTo(b.result().chance(), within(1e-12));
  }

  @Test
  void confidenceByHand() {
    ConfidenceAnalysis analysis = new ConfidenceAnalysis(4, 2);
    float[] p = {.5f, .25f, .25f, 0, .25f, .25f, .25f, .25f};
    RoutingTrace trace =
        new RoutingTrace.Chosen(
            0,
            4,
            1,
            2,
            new int[] {0, 1, 3, 2},
            new float[] {.75f, .25f, .5f, .5f},
            new boolean[] {true, true, true, true},
            p);
    analysis.add(Traces.line(1, 2), trace);
    Confidence c = analysis.result();
    assertThat(c.topProbability()).isEqualTo(0.375);
    assertThat(c.chosenMass()).isEqualTo(0.625);
    assertThat(c.meanEntropy()).isEqualTo((1.5 + 2) / 2, within(1e-12));
    // Mean (3, 2, 2, 1) / 8.
    double expected = -(3 * log(3 / 8.0) + 4 * log(2 / 8.0) + log(1 / 8.0)) / 8;
    assertThat(c.entropyOfMean()).isEqualTo(expected, within(1e-12));
    assertThat(c.weights()).containsExactly(0.625, 0.375);
    assertThat(c.topProbabilities()[10]).isEqualTo(1);
    assertThat(c.topProbabilities()[5]).isEqualTo(1);
    assertThat(c.firstShares()[15]).isEqualTo(1);
    assertThat(c.firstShares()[10]).isEqualTo(1);
  }

  private static double log(double x) {
    return Math.log(x) / Math.log(2);
  }

  @Test
  void independentPairsAreAsFrequentAsExpectedWhateverTheLoads() {
    // Pairs drawn with chance a(i) a(j), i != j: exactly the model of no preference.
    double[] a = {8, 4, 2, 1, 1};
    PairCounts pairs = new PairCounts(5);
    for (int i = 0; i < 5; i++) {
      for (int j = 0; j < i; j++) {
        for (int n = 0; n < a[i] * a[j]; n++) {
          pairs.add(i, j);
        }
      }
    }
    Coactivation c = Coactivation.of(pairs);
    for (int i = 0; i < c.counts().length; i++) {
      assertThat(c.expected()[i]).isEqualTo(c.counts()[i], within(1e-5));
    }
  }

  @Test
  void expectedPairsKeepTheLoads() {
    CoactivationAnalysis analysis = new CoactivationAnalysis(16);
    SplittableRandom random = new SplittableRandom(4);
    int[] choices = Traces.even(random, 3000, 16, 2);
    // Experts 4 and 5 come together more often than others.
    for (int t = 0; t < 3000; t += 10) {
      choices[2 * t] = 4;
      choices[2 * t + 1] = 5;
    }
    analysis.add(Traces.line(new long[3000]), Traces.chosen(16, 2, choices));
    Coactivation c = analysis.result();
    double[] counted = new double[16];
    double[] expected = new double[16];
    for (int i = 0; i < 16; i++) {
      for (int j = 0; j < i; j++) {
        for (int e : new int[] {i, j}) {
          counted[e] += c.counts()[PairCounts.at(i, j)];
          expected[e] += c.expected()[PairCounts.at(i, j)];
        }
      }
    }
    for (int e = 0; e < 16; e++) {
      assertThat(expected[e]).isEqualTo(counted[e], within(1e-4));
    }
    Coactivation.Pair strongest = c.strongest(1).getFirst();
    assertThat(List.of(strongest.a(), strongest.b())).containsExactly(4, 5);
    assertThat(strongest.ratio()).isGreaterThan(2);
  }

  @Test
  void tokensAreRankedByPointwiseInformation() {
    // Token 7 goes to expert 1 alone, token 8 to both alike, token 9 too seldom to count.
    long[] ids = new long[41];
    int[] choices = new int[41];
    for (int t = 0; t < 40; t++) {
      ids[t] = t % 4 == 0 ? 7 : 8;
      choices[t] = t % 4 == 0 || t % 4 == 1 ? 1 : 0;
    }
    ids[40] = 9;
    choices[40] = 1;
    long[] counts = new long[10];
    Arrays.stream(ids).forEach(id -> counts[(int) id]++);
    TokenAnalysis analysis = new TokenAnalysis(2, new Vocabulary(counts, 10));
    analysis.add(Traces.line(ids), Traces.chosen(2, 1, choices));
    List<List<ExpertToken>> lists = analysis.result(id -> "t" + id);
    assertThat(lists.get(1)).extracting(ExpertToken::token).containsExactly("t7");
    ExpertToken best = lists.get(1).getFirst();
    assertThat(best.share()).isEqualTo(1);
    assertThat(best.pmi()).isEqualTo(log(1 / (21 / 41.0)), within(1e-12));
    assertThat(lists.get(0)).extracting(ExpertToken::token).containsExactly("t8");
  }

  @Test
  void onlyTheMostFrequentTokensAreCountedOneByOne() {
    Vocabulary vocabulary = new Vocabulary(new long[] {3, 0, 9, 5}, 2);
    assertThat(vocabulary.size()).isEqualTo(2);
    assertThat(vocabulary.slot(2)).isZero();
    assertThat(vocabulary.slot(3)).isEqualTo(1);
    assertThat(vocabulary.slot(0)).isEqualTo(-1);
  }

  @Test
  void cosinesAreThoseOfADoubleLoop() {
    SplittableRandom random = new SplittableRandom(6);
    double[] a = random.doubles(4 * 6, -1, 1).toArray();
    double[] b = random.doubles(4 * 2, -1, 1).toArray();
    try (Scope scope = Scope.open()) {
      Similarity s =
          Similarity.of(4, List.of(Tensor.of(a, 4, 3, 2), Tensor.of(b, 4, 2))).orElseThrow();
      double sum = 0;
      for (int i = 0; i < 4; i++) {
        for (int j = 0; j < i; j++) {
          double expected = dot(a, b, i, j) / Math.sqrt(dot(a, b, i, i) * dot(a, b, j, j));
          assertThat(s.triangle()[PairCounts.at(i, j)]).isEqualTo(expected, within(1e-6));
          sum += expected;
        }
      }
      assertThat(s.mean()).isEqualTo(sum / 6, within(1e-6));
    }
  }

  private static double dot(double[] a, double[] b, int i, int j) {
    double sum = 0;
    for (int n = 0; n < 6; n++) {
      sum += a[i * 6 + n] * a[j * 6 + n];
    }
    for (int n = 0; n < 2; n++) {
      sum += b[i * 2 + n] * b[j * 2 + n];
    }
    return sum;
  }
}

package org.moe4j;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.Tensor;

/** Bayes' rule over domains (S14) against enumeration in doubles. */
class DomainPosteriorTest extends InScope {
  private static final int B = 3;
  private static final int S = 7;
  private static final int N = 4;
  private static final double[] PRIOR = {0.4, 0.3, 0.2, 0.1};

  /** Log-likelihoods [B,S,N] of tokens, some of them unlikely. */
  private Tensor likelihood() {
    return normal(B, S, N).square().mul(-2);
  }

  private static double at(double[] values, int b, int t, int j) {
    return values[(b * S + t) * N + j];
  }

  /** w_tj by products of probabilities. */
  private static double[] weights(double[] logs, int b, int t, double[] prior, boolean full) {
    double[] w = prior.clone();
    for (int s = full ? 0 : Math.max(0, t - 1); s < t; s++) {
      for (int j = 0; j < N; j++) {
        w[j] *= Math.exp(at(logs, b, s, j));
      }
    }
    if (!full && t == 0) {
      Arrays.fill(w, 1);
    }
    double sum = Arrays.stream(w).sum();
    return Arrays.stream(w).map(v -> v / sum).toArray();
  }

  @Test
  void weightsAndMixtureAreThoseOfTheEnumeration() {
    Tensor p = likelihood();
    double[] logs = p.toDoubles();
    for (DomainPosterior.History history : DomainPosterior.History.values()) {
      Tensor w = DomainPosterior.logWeights(p, PRIOR, history);
      double[] actual = w.exp().toDoubles();
      double[] mixed = DomainPosterior.mixed(p, w).toDoubles();
      for (int b = 0; b < B; b++) {
        for (int t = 0; t < S; t++) {
          boolean full = history == DomainPosterior.History.FULL;
          double[] expected = weights(logs, b, t, PRIOR, full);
          double sum = 0;
          double mixture = 0;
          for (int j = 0; j < N; j++) {
            assertThat(at(actual, b, t, j)).isCloseTo(expected[j], within(1e-12));
            sum += at(actual, b, t, j);
            mixture += expected[j] * Math.exp(at(logs, b, t, j));
          }
          assertThat(sum).isCloseTo(1, within(1e-12));
          assertThat(mixed[b * S + t]).isCloseTo(Math.log(mixture), within(1e-10));
        }
      }
    }
  }

  /** sum_t log p_mix(x_t | x_<t) = log sum_j prior_j P(x | D=j). */
  @Test
  void theChainRuleHolds() {
    Tensor p = likelihood();
    Tensor w = DomainPosterior.logWeights(p, PRIOR, DomainPosterior.History.FULL);
    double[] chain = DomainPosterior.mixed(p, w).sum(1, false).toDoubles();
    double[][] whole = rows(p.sum(1, false));
    for (int b = 0; b < B; b++) {
      double[] joint = new double[N];
      for (int j = 0; j < N; j++) {
        joint[j] = whole[b][j] + Math.log(PRIOR[j]);
      }
      assertThat(chain[b]).isCloseTo(Loops.logSumExp(joint), within(1e-10));
    }
  }

  @Test
  void aWeightReadsNothingFromItsOwnTokenOn() {
    Tensor p = likelihood();
    double[] values = p.toDoubles();
    for (DomainPosterior.History history : DomainPosterior.History.values()) {
      double[] before = DomainPosterior.logWeights(p, PRIOR, history).toDoubles();
      for (int t = 0; t < S; t++) {
        double[] changed = values.clone();
        for (int i = t * N; i < S * N; i++) {
          changed[i] = -9 + i % 5;
        }
        double[] after =
            DomainPosterior.logWeights(Tensor.of(changed, B, S, N), PRIOR, history).toDoubles();
        int known = (t + 1) * N;
        assertThat(Arrays.copyOf(after, known)).isEqualTo(Arrays.copyOf(before, known));
      }
    }
  }

  @Test
  void aCertainPriorIsItsExpertAndAZeroIsNoExpert() {
    Tensor p = likelihood();
    for (DomainPosterior.History history : DomainPosterior.History.values()) {
      Tensor w = DomainPosterior.logWeights(p, new double[] {0, 0, 1, 0}, history);
      double[] mixed = DomainPosterior.mixed(p, w).toDoubles();
      // The released code's rule has no prior at the first token.
      int from = history == DomainPosterior.History.FULL ? 0 : 1;
      for (int b = 0; b < B; b++) {
        for (int t = from; t < S; t++) {
          assertThat(mixed[b * S + t]).isCloseTo(at(p.toDoubles(), b, t, 2), within(1e-12));
        }
      }
    }
    double[] without = {0.5, 0, 0.3, 0.2};
    Tensor some = p.indexSelect(2, Tensor.of(new long[] {0, 2, 3}));
    same(
        DomainPosterior.mixed(
            p, DomainPosterior.logWeights(p, without, DomainPosterior.History.FULL)),
        DomainPosterior.mixed(
            some,
            DomainPosterior.logWeights(
                some, new double[] {0.5, 0.3, 0.2}, DomainPosterior.History.FULL)),
        1e-12);
  }

  @Test
  void copiesKeepThePriorAndOrderDoesNotMatter() {
    Tensor one = normal(B, S, 1).square().mul(-3);
    Tensor copies = Tensor.cat(List.of(one, one, one, one), 2);
    double[] w =
        DomainPosterior.logWeights(copies, PRIOR, DomainPosterior.History.FULL).exp().toDoubles();
    for (int i = 0; i < w.length; i++) {
      assertThat(w[i]).isCloseTo(PRIOR[i % N], within(1e-6));
    }
    Tensor p = likelihood();
    Tensor order = Tensor.of(new long[] {2, 0, 3, 1});
    Tensor a = DomainPosterior.logWeights(p, PRIOR, DomainPosterior.History.FULL);
    Tensor b =
        DomainPosterior.logWeights(
            p.indexSelect(2, order),
            new double[] {0.2, 0.4, 0.1, 0.3},
            DomainPosterior.History.FULL);
    same(b, a.indexSelect(2, order), 1e-12);
  }

  @Test
  void longTextsNeitherUnderflowNorGiveNaN() {
    Tensor p = random.normal(-9, 3, DType.F32, 2, 8192, N).clampMin(-1000).neg().abs().neg();
    for (DomainPosterior.History history : DomainPosterior.History.values()) {
      Tensor w = DomainPosterior.logWeights(p, PRIOR, history);
      assertThat(w.allFinite()).isTrue();
      assertThat(DomainPosterior.mixed(p, w).allFinite()).isTrue();
      assertThat(w.exp().sum(2, false).sub(1).abs().max().item()).isLessThan(1e-6);
    }
  }

  @Test
  void priorsAverageAsTheyShould() {
    double[] first = DomainPosterior.average(PRIOR, new double[] {1, 0, 0, 0}, true, 0.3);
    assertThat(first).containsExactly(1, 0, 0, 0);
    assertThat(DomainPosterior.average(first, PRIOR, false, 0.3))
        .containsExactly(new double[] {0.7 + 0.12, 0.09, 0.06, 0.03}, within(1e-12));
    for (double[] bad :
        new double[][] {{1, 2}, {0, 0, 0, 0}, {1, -1, 1, 1}, {Double.NaN, 1, 1, 1}}) {
      HashRouterTest.refused(
          () -> DomainPosterior.logWeights(likelihood(), bad, DomainPosterior.History.FULL),
          "4 domains");
    }
    HashRouterTest.refused(
        () -> DomainPosterior.average(PRIOR, new double[2], false, 0.3), "4", "2");
  }
}

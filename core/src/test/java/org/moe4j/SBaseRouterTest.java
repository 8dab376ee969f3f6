package org.moe4j;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.Arrays;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.RandomSource;
import org.moe4j.tensor.Tensor;

/** S-BASE (S17): the plan chooses in training, the logits weigh and choose in evaluation. */
class SBaseRouterTest extends InScope {
  /** A router whose logits are its inputs. */
  private static SBaseRouter router(int experts, int k, Gating.Score score) {
    ParameterStore store = wide(1);
    SBaseRouter router =
        new SBaseRouter(experts, experts, k, score, Sinkhorn.DEFAULT, Init.zeros(), store, 0);
    double[][] eye = new double[experts][experts];
    for (int e = 0; e < experts; e++) {
      eye[e][e] = 1;
    }
    store.named("gate.weight").tensor().detach().copyInPlace(matrix(eye));
    return router;
  }

  private static TokenContext train(long tokens) {
    return TokenContext.train(1, tokens, new RandomSource(3));
  }

  /** Normal logits [T,E] with 3 added to one column. */
  private Tensor skewed(int tokens, int experts) {
    double[][] z = rows(normal(tokens, experts));
    for (double[] row : z) {
      row[experts / 3] += 3;
    }
    return matrix(z);
  }

  @Test
  void aFavouriteExpertIsEvenedOutInTraining() {
    Tensor z = skewed(4096, 64);
    SBaseRouter router = router(64, 1, Gating.Score.SOFTMAX);
    TokenContext eval = TokenContext.eval(1, 4096);
    double[] greedy = RoutingStats.of(router.route(z, eval), eval).asked();
    assertThat(Arrays.stream(greedy).max().orElseThrow()).isGreaterThan(2048);
    double[] even = RoutingStats.of(router.route(z, train(4096)), train(4096)).asked();
    assertThat(Arrays.stream(even).max().orElseThrow()).isLessThanOrEqualTo(128);
  }

  @Test
  void capacityTwoDropsNothingOnceThePlanIsBalanced() {
    MoeConfig config =
        MoeConfig.builder(16, 4, 16, 1)
            .router("s-base")
            .capacity(Capacity.switchPaper(2, Grouping.BATCH))
            .init(InitScheme.T5)
            .build();
    MoeOutput out = new MoeLayer(config, wide(1)).forward(normal(1024, 16), train(1024));
    assertThat(out.stats().dropRate()).isZero();
  }

  @Test
  void choicesAreTheLargestOfThePlanAndGatesThoseOfTheLogits() {
    Tensor z = skewed(96, 8);
    double[][] plan = rows(Sinkhorn.DEFAULT.plan(z));
    for (Gating.Score score : new Gating.Score[] {Gating.Score.SOFTMAX, Gating.Score.SIGMOID}) {
      for (int k : new int[] {1, 2, 4}) {
        TokenChoice r = router(8, k, score).route(z, train(96));
        double[][] expected = new double[96][k];
        for (int t = 0; t < 96; t++) {
          int[] top = Loops.top(plan[t], k);
          assertThat(indices(r.experts())[t]).containsExactly(top);
          double[] p = Loops.softmax(rows(z)[t]);
          for (int j = 0; j < k; j++) {
            expected[t][j] =
                score == Gating.Score.SOFTMAX ? p[top[j]] : Loops.sigmoid(rows(z)[t][top[j]]);
          }
        }
        same(r.weights(), matrix(expected), 1e-12);
      }
    }
  }

  @Test
  void gradientsFlowThroughTheGateAlone() {
    ParameterStore store = wide(1);
    MoeConfig config = MoeConfig.builder(6, 4, 5, 2).router("s-base").init(InitScheme.T5).build();
    MoeLayer layer = new MoeLayer(config, store);
    Tensor x = normal(20, 6).requiresGrad(true);
    Tensor target = normal(20, 6);
    for (Parameter p : store.all()) {
      slopes(
          p.name(), p.tensor(), 1e-5, () -> layer.forward(x, train(20)).output().mul(target).sum());
    }
    slopes("x", x, 1e-5, () -> layer.forward(x, train(20)).output().mul(target).sum());
  }

  @Test
  void evaluationRoutesATokenAloneAsInTheBatch() {
    SBaseRouter router = router(8, 1, Gating.Score.SOFTMAX);
    double[][] z = rows(skewed(40, 8));
    int[][] together = indices(router.route(matrix(z), TokenContext.eval(1, 40)).experts());
    for (int t = 0; t < 40; t++) {
      Tensor alone = matrix(new double[][] {z[t]});
      assertThat(indices(router.route(alone, TokenContext.eval(1, 1)).experts())[0])
          .containsExactly(together[t]);
    }
  }

  @Test
  void paddingTakesNoPartInThePlan() {
    SBaseRouter router = router(4, 1, Gating.Score.SOFTMAX);
    byte[] real = {1, 1, 0, 1, 1, 0, 1, 1, 1, 1};
    TokenContext context = train(10).withPadding(Tensor.of(real).to(DType.BOOL));
    double[][] z = rows(skewed(10, 4));
    double[][] only = new double[8][];
    for (int t = 0, n = 0; t < 10; t++) {
      if (real[t] != 0) {
        only[n++] = z[t];
      }
    }
    int[][] expected = indices(router.route(matrix(only), train(8)).experts());
    int[][] actual = indices(router.route(matrix(z), context).experts());
    for (int t = 0, n = 0; t < 10; t++) {
      assertThat(actual[t]).containsExactly(real[t] != 0 ? expected[n++] : new int[] {-1});
    }
    byte[] none = new byte[10];
    TokenContext empty = train(10).withPadding(Tensor.of(none).to(DType.BOOL));
    assertThat(router.route(matrix(z), empty).experts().toLongs()).containsOnly(-1);
  }

  @Test
  void optionsReachTheIteration() {
    MoeConfig config =
        MoeConfig.builder(6, 4, 5, 1).router("s-base", Map.of("iterations", 0)).build();
    assertThatThrownBy(() -> new MoeLayer(config, wide(1)))
        .isInstanceOf(MoeException.class)
        .hasMessageContaining("0 iterations");
  }
}

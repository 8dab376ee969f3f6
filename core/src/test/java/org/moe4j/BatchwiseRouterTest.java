package org.moe4j;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.Arrays;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.RandomSource;
import org.moe4j.tensor.Tensor;

/** What S01 says the strictly balanced gate and its thresholds must do. */
class BatchwiseRouterTest extends InScope {
  private static final int E = 4;

  private final ParameterStore store = wide(1);

  /** A gate whose logits are its inputs, with a threshold loss of weight 1. */
  private BatchwiseRouter router(int k) {
    BatchwiseRouter router = new BatchwiseRouter(E, E, k, 1, Init.zeros(), store, 0);
    double[][] eye = new double[E][E];
    for (int e = 0; e < E; e++) {
      eye[e][e] = 1;
    }
    store.named("gate.weight").tensor().detach().copyInPlace(matrix(eye));
    return router;
  }

  private static TokenContext train(long tokens) {
    return TokenContext.train(1, tokens, new RandomSource(9));
  }

  private void thresholds(double... values) {
    store.named("gate.thresholds").tensor().detach().copyInPlace(Tensor.of(values, E));
  }

  private static double[][] gates(double[][] z) {
    return Arrays.stream(z).map(Loops::softmax).toArray(double[][]::new);
  }

  /** M[t][e]: whether t is among the m best real tokens of column e. */
  private static boolean[][] mask(double[][] g, boolean[] real, int m) {
    boolean[][] mask = new boolean[g.length][E];
    for (int e = 0; e < E; e++) {
      int expert = e;
      double[] column =
          IntStream.range(0, g.length).mapToDouble(t -> real[t] ? g[t][expert] : -1).toArray();
      for (int t : Loops.top(column, m)) {
        mask[t][e] = true;
      }
    }
    return mask;
  }

  private static double loss(double[][] g, boolean[][] mask, boolean[] real, double[] theta) {
    double sum = 0;
    int n = 0;
    for (int t = 0; t < g.length; t++) {
      n += real[t] ? 1 : 0;
      for (int e = 0; real[t] && e < E; e++) {
        sum += ((g[t][e] > theta[e] ? 1 : 0) - (mask[t][e] ? 1 : 0)) * (g[t][e] - theta[e]);
      }
    }
    return sum / n;
  }

  @Test
  void everyExpertTakesItsBestTokensAndWeightsSumToOne() {
    for (int k : new int[] {1, 2, E}) {
      BatchwiseRouter router = router(k);
      int tokens = 20;
      int m = k * tokens / E;
      double[][] z = rows(normal(tokens, E));
      boolean[] real = new boolean[tokens];
      Arrays.fill(real, true);
      ExpertChoice r = (ExpertChoice) router.route(matrix(z), train(tokens));
      assertThat(r.tokens().shape()).containsExactly(E, m);
      double[][] g = gates(z);
      boolean[][] mask = mask(g, real, m);
      double[][] w = new double[tokens][E];
      for (int e = 0; e < E; e++) {
        for (int c = 0; c < m; c++) {
          w[indices(r.tokens())[e][c]][e] = rows(r.weights())[e][c];
        }
      }
      for (int t = 0; t < tokens; t++) {
        double sum = 0;
        for (int e = 0; e < E; e++) {
          sum += mask[t][e] ? g[t][e] : 0;
        }
        for (int e = 0; e < E; e++) {
          assertThat(w[t][e]).isCloseTo(mask[t][e] ? g[t][e] / sum : 0, within(1e-12));
        }
      }
      store.close();
    }
  }

  @Test
  void whatDoesNotDivideIsRoundedDownAndPaddingCountsNowhere() {
    BatchwiseRouter router = router(2);
    assertThat(((ExpertChoice) router.route(normal(7, E), train(7))).capacity()).isEqualTo(3);
    assertThat(((ExpertChoice) router.route(normal(1, E), train(1))).capacity()).isEqualTo(1);
    byte[] mask = {1, 0, 1, 1, 0, 1, 1, 1, 1, 0};
    TokenContext padded = train(10).withPadding(Tensor.of(mask).to(DType.BOOL));
    double[][] z = rows(normal(10, E));
    z[1] = new double[] {9, 8, 7, 6};
    ExpertChoice r = (ExpertChoice) router.route(matrix(z), padded);
    assertThat(r.capacity()).isEqualTo(3); // 2 * 7 / 4
    assertThat(Arrays.stream(r.tokens().toLongs())).allMatch(t -> mask[Math.toIntExact(t)] == 1);
    boolean[] real = new boolean[10];
    for (int t = 0; t < 10; t++) {
      real[t] = mask[t] == 1;
    }
    double[][] g = gates(z);
    double[] theta = new double[E];
    Arrays.fill(theta, 1.0 / E);
    assertThat(r.evidence().losses().get("thresholds").item())
        .isCloseTo(loss(g, mask(g, real, 3), real, theta), within(1e-12));
  }

  @Test
  void theThresholdLossIsZeroOnlyWhereBothMasksAgree() {
    BatchwiseRouter router = router(2);
    double[][] z = rows(normal(12, E));
    double[][] g = gates(z);
    boolean[] real = new boolean[12];
    Arrays.fill(real, true);
    double[] between = new double[E];
    for (int e = 0; e < E; e++) {
      int expert = e;
      double[] column = Arrays.stream(g).mapToDouble(row -> row[expert]).sorted().toArray();
      between[e] = (column[5] + column[6]) / 2; // m = 6 of 12 tokens are above
    }
    thresholds(between);
    assertThat(threshold(router, z)).isZero();
    for (int e = 0; e < E; e++) {
      for (double shift : new double[] {0.2, -0.2}) {
        double[] moved = between.clone();
        moved[e] += shift;
        thresholds(moved);
        assertThat(threshold(router, z))
            .isPositive()
            .isCloseTo(loss(g, mask(g, real, 6), real, moved), within(1e-12));
      }
    }
  }

  private static double threshold(BatchwiseRouter router, double[][] z) {
    return router.route(matrix(z), train(z.length)).evidence().losses().get("thresholds").item();
  }

  @Test
  void itsGradientReachesThresholdsAndGate() {
    BatchwiseRouter router = router(2);
    thresholds(0.1, 0.3, 0.2, 0.4);
    Tensor x = normal(12, E);
    for (String name : new String[] {"gate.thresholds", "gate.weight"}) {
      slopes(
          name,
          store.named(name).tensor(),
          1e-6,
          () -> router.route(x, train(12)).evidence().losses().get("thresholds"));
      router.route(x, train(12)).evidence().losses().get("thresholds").backward();
      assertThat(store.named(name).tensor().grad().orElseThrow().abs().sum().item()).isPositive();
    }
  }

  @Test
  void evaluationGoesByThresholdsAlone() {
    BatchwiseRouter router = router(2);
    double[] theta = {0.1, 0.5, 0.3, 0.9};
    thresholds(theta);
    double[][] z = rows(normal(30, E).mul(2));
    double[][] g = gates(z);
    TokenChoice r = (TokenChoice) router.route(matrix(z), TokenContext.eval(1, 30));
    boolean none = false;
    for (int t = 0; t < 30; t++) {
      double sum = 0;
      for (int e = 0; e < E; e++) {
        sum += g[t][e] > theta[e] ? g[t][e] : 0;
      }
      none |= sum == 0;
      double[] expected = new double[E];
      double[] actual = new double[E];
      for (int e = 0; e < E; e++) {
        expected[e] = g[t][e] > theta[e] ? g[t][e] / sum : 0;
      }
      for (int j = 0; j < r.k(); j++) {
        int e = indices(r.experts())[t][j];
        if (e >= 0) {
          actual[e] += rows(r.weights())[t][j];
        }
      }
      assertThat(actual).containsExactly(expected, within(1e-12));
    }
    assertThat(none).as("a token that no expert takes").isTrue();
    thresholds(2, 2, 2, 2);
    TokenChoice nobody = (TokenChoice) router.route(matrix(z), TokenContext.eval(1, 30));
    assertThat(Arrays.stream(nobody.experts().toLongs())).containsOnly(-1L);
  }

  @Test
  void trainedThresholdsLoadExpertsEvenlyWithoutTheBatch() {
    BatchwiseRouter router = router(2);
    Tensor skew = Tensor.of(new double[] {1.5, 0.5, 0, -1}, 1, E);
    Tensor theta = store.named("gate.thresholds").tensor();
    for (int step = 0; step < 300; step++) {
      theta.clearGrad();
      router
          .route(normal(128, E).add(skew), train(128))
          .evidence()
          .losses()
          .get("thresholds")
          .backward();
      theta.detach().addInPlace(theta.grad().orElseThrow(), -0.02);
    }
    TokenContext context = TokenContext.eval(1, 2000);
    Routing plan = router.route(normal(2000, E).add(skew), context);
    for (double load : RoutingStats.of(plan, context).served()) {
      assertThat(load).isCloseTo(1000, within(120.0));
    }
  }

  @Test
  void aNegativeWeightIsRefused() {
    assertThatThrownBy(() -> new BatchwiseRouter(E, E, 2, -1, Init.zeros(), wide(1), 0))
        .isInstanceOf(MoeException.class)
        .hasMessageContaining("threshold loss -1.0");
  }
}

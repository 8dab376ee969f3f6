package org.moe4j;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.Arrays;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.RandomSource;
import org.moe4j.tensor.Tensor;

/** The routers of S23 around the solver. */
class SparseTransportRouterTest extends InScope {
  private static Router router(String name, int experts, int k, Map<String, ?> options) {
    ParameterStore store = wide(1);
    MoeConfig config = MoeConfig.builder(experts, 4, experts, k).router(name, options).build();
    Router router = new MoeLayer(config, store).router();
    double[][] eye = new double[experts][experts];
    for (int e = 0; e < experts; e++) {
      eye[e][e] = 1;
    }
    store.named("gate.weight").tensor().detach().copyInPlace(matrix(eye));
    return router;
  }

  private static TokenContext train(long b, long s) {
    return TokenContext.train(b, s, new RandomSource(3));
  }

  private static double[][] softmax(Tensor z) {
    return Arrays.stream(rows(z)).map(Loops::softmax).toArray(double[][]::new);
  }

  private static double[] full(int n, double value) {
    double[] v = new double[n];
    Arrays.fill(v, value);
    return v;
  }

  private static TokenChoice tokens(Router router, Tensor z, TokenContext context) {
    return (TokenChoice) router.route(z, context);
  }

  /** The plan [S][E] of tokens that choose. */
  private static double[][] plan(double[][] m, int k, int iterations) {
    int s = m.length;
    int experts = m[0].length;
    double[] cost = Arrays.stream(m).flatMapToDouble(Arrays::stream).map(v -> -v).toArray();
    SparseTransport t =
        new SparseTransport(cost, full(experts, (double) s / experts), full(s, 1), 1, k);
    double[] flat = t.plan(t.adam(0.01, iterations));
    double[][] plan = new double[s][];
    for (int i = 0; i < s; i++) {
      plan[i] = Arrays.copyOfRange(flat, i * experts, (i + 1) * experts);
    }
    return plan;
  }

  @ParameterizedTest
  @ValueSource(strings = {"softmax", "plan"})
  void tokensChooseTheNonZerosOfThePlan(String weights) {
    Tensor z = normal(48, 6).mul(2);
    double[][] m = softmax(z);
    for (int k : new int[] {1, 2, 6}) {
      double[][] plan = plan(m, k, 20);
      TokenChoice r =
          tokens(router("sparse-ot-token", 6, k, Map.of("weights", weights)), z, train(2, 24));
      for (int t = 0; t < 48; t++) {
        double sum = 0;
        int[] chosen = indices(r.experts())[t];
        assertThat(Arrays.stream(chosen).filter(e -> e >= 0).count())
            .isEqualTo(Arrays.stream(plan[t]).filter(v -> v > 0).count());
        for (int j = 0; j < k; j++) {
          double w = rows(r.weights())[t][j];
          if (chosen[j] >= 0) {
            assertThat(w)
                .isCloseTo((weights.equals("plan") ? plan : m)[t][chosen[j]], within(1e-12));
          } else {
            assertThat(w).isZero();
          }
          sum += w;
        }
        if (weights.equals("plan")) {
          assertThat(sum).isCloseTo(1, within(1e-12));
        }
      }
    }
  }

  @Test
  void groupsAreSequencesWhereAskedFor() {
    Tensor z = normal(48, 6).mul(2);
    Router each = router("sparse-ot-token", 6, 2, Map.of("group", "sequence"));
    Router all = router("sparse-ot-token", 6, 2, Map.of());
    int[][] together = indices(tokens(each, z, train(2, 24)).experts());
    for (int b = 0; b < 2; b++) {
      int[][] alone = indices(tokens(all, z.narrow(0, b * 24L, 24), train(1, 24)).experts());
      assertThat(Arrays.copyOfRange(together, b * 24, b * 24 + 24)).isDeepEqualTo(alone);
    }
  }

  @Test
  void loadsAreEvenerThanWithoutThePlan() {
    double[][] z = rows(normal(256, 8));
    for (double[] row : z) {
      row[2] += 1;
    }
    TokenContext context = train(1, 256);
    double[] greedy =
        RoutingStats.of(router("softmax-top-k", 8, 1, Map.of()).route(matrix(z), context), context)
            .asked();
    double before = Loops.variation(greedy);
    for (int iterations : new int[] {20, 500}) {
      Router router = router("sparse-ot-token", 8, 1, Map.of("iterations", iterations));
      double[] loads = RoutingStats.of(router.route(matrix(z), context), context).asked();
      double after = Loops.variation(loads);
      assertThat(after).isLessThan(before / (iterations == 20 ? 1.5 : 10));
    }
  }

  @Test
  void theCausalFormPlansInTrainingAlone() {
    Tensor z = normal(48, 6).mul(2);
    Router causal = router("sparse-ot-token-causal", 6, 2, Map.of());
    Router looking = router("sparse-ot-token", 6, 2, Map.of());
    assertThat(tokens(causal, z, train(2, 24)).experts().toLongs())
        .containsExactly(tokens(looking, z, train(2, 24)).experts().toLongs());
    TokenContext eval = TokenContext.eval(2, 24);
    assertThat(tokens(causal, z, eval).experts().toLongs())
        .containsExactly(Selection.top(z, 2).toLongs());
    assertThat(tokens(looking, z, eval).experts().toLongs())
        .containsExactly(tokens(looking, z, train(2, 24)).experts().toLongs());
  }

  @Test
  void expertsTakeTheNonZerosOfTheirColumns() {
    Tensor z = normal(30, 4).mul(2);
    double[][] m = softmax(z);
    for (int multiple : new int[] {1, 4}) {
      int slots = multiple == 1 ? 15 : 16;
      double[] cost = new double[120];
      for (int e = 0; e < 4; e++) {
        for (int t = 0; t < 30; t++) {
          cost[e * 30 + t] = -m[t][e];
        }
      }
      SparseTransport t = new SparseTransport(cost, full(30, 1), full(4, 7.5), 1, slots);
      double[] plan = t.plan(t.adam(0.01, 20));
      Router router = router("sparse-ot-expert", 4, 2, Map.of("multiple", multiple));
      ExpertChoice r = (ExpertChoice) router.route(z, train(1, 30));
      assertThat(r.capacity()).isEqualTo(slots);
      int[][] chosen = indices(r.tokens());
      for (int e = 0; e < 4; e++) {
        int n = 0;
        for (int token = 0; token < 30; token++) {
          if (plan[e * 30 + token] > 0) {
            assertThat(chosen[e][n]).isEqualTo(token);
            assertThat(rows(r.weights())[e][n++]).isCloseTo(m[token][e], within(1e-12));
          }
        }
        for (; n < slots; n++) {
          assertThat(chosen[e][n]).isEqualTo(-1);
        }
      }
    }
  }

  @Test
  void planWeightsOfExpertsSumToTheirShare() {
    Router router = router("sparse-ot-expert", 4, 2, Map.of("weights", "plan"));
    ExpertChoice r = (ExpertChoice) router.route(normal(30, 4), train(1, 30));
    double[][] weights = rows(r.weights());
    int[][] chosen = indices(r.tokens());
    for (int e = 0; e < 4; e++) {
      double sum = 0;
      for (int c = 0; c < weights[e].length; c++) {
        sum += chosen[e][c] >= 0 ? weights[e][c] : 0;
      }
      assertThat(sum).isCloseTo(7.5, within(1e-9));
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"sparse-ot-token", "sparse-ot-token-causal", "sparse-ot-expert"})
  void gradientsFlowThroughTheWeightsAlone(String name) {
    ParameterStore store = wide(1);
    MoeConfig config =
        MoeConfig.builder(5, 4, 4, 2)
            .router(name, Map.of("iterations", 5))
            .init(InitScheme.T5)
            .build();
    MoeLayer layer = new MoeLayer(config, store);
    Tensor x = normal(12, 5).requiresGrad(true);
    Tensor target = normal(12, 5);
    slopes("x", x, 1e-4, () -> layer.forward(x, train(1, 12)).output().mul(target).sum());
    Tensor gate = store.named("gate.weight").tensor();
    slopes("gate", gate, 1e-4, () -> layer.forward(x, train(1, 12)).output().mul(target).sum());
  }

  @ParameterizedTest
  @ValueSource(strings = {"sparse-ot-token", "sparse-ot-expert"})
  void relabelledTokensAndExpertsAreRelabelled(String name) {
    double[][] z = rows(normal(20, 5));
    double[][] reversed = new double[20][5];
    for (int t = 0; t < 20; t++) {
      for (int e = 0; e < 5; e++) {
        reversed[19 - t][4 - e] = z[t][e];
      }
    }
    Router router = router(name, 5, 2, Map.of());
    Tensor before = router.route(matrix(z), train(1, 20)).evidence().selection().orElseThrow();
    Tensor after =
        router.route(matrix(reversed), train(1, 20)).evidence().selection().orElseThrow();
    for (int t = 0; t < 20; t++) {
      for (int e = 0; e < 5; e++) {
        assertThat(rows(after)[19 - t][4 - e]).isCloseTo(rows(before)[t][e], within(1e-9));
      }
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"sparse-ot-token", "sparse-ot-expert"})
  void uniformLogitsAreResolvedByIndexTheSameEveryTime(String name) {
    Router router = router(name, 4, 2, Map.of());
    Tensor z = normal(16, 4).mul(0);
    Routing one = router.route(z, train(1, 16));
    double[] plan = one.evidence().selection().orElseThrow().toDoubles();
    assertThat(Arrays.stream(plan)).allMatch(Double::isFinite);
    assertThat(Arrays.stream(plan).sum()).isCloseTo(16, within(1e-9));
    assertThat(router.route(z, train(1, 16)).evidence().selection().orElseThrow().toDoubles())
        .containsExactly(plan);
  }

  @ParameterizedTest
  @ValueSource(strings = {"sparse-ot-token", "sparse-ot-expert"})
  void paddingHasNoMass(String name) {
    Router router = router(name, 4, 2, Map.of());
    byte[] real = {1, 0, 1, 1, 1, 1, 0, 1, 1, 1};
    TokenContext context = train(1, 10).withPadding(Tensor.of(real).to(DType.BOOL));
    double[][] z = rows(normal(10, 4));
    double[][] only = new double[8][];
    for (int t = 0, n = 0; t < 10; t++) {
      if (real[t] != 0) {
        only[n++] = z[t];
      }
    }
    Tensor padded = router.route(matrix(z), context).evidence().selection().orElseThrow();
    byte[] none = new byte[10];
    TokenContext empty = train(1, 10).withPadding(Tensor.of(none).to(DType.BOOL));
    assertThat(router.route(matrix(z), empty).evidence().selection().orElseThrow().toDoubles())
        .containsOnly(0);
    if (name.equals("sparse-ot-token")) {
      Tensor alone = router.route(matrix(only), train(1, 8)).evidence().selection().orElseThrow();
      for (int t = 0, n = 0; t < 10; t++) {
        assertThat(rows(padded)[t])
            .containsExactly(real[t] != 0 ? rows(alone)[n++] : new double[4], within(1e-12));
      }
    }
  }

  @Test
  void impossibleNumbersAreRefused() {
    assertThatThrownBy(() -> router("sparse-ot-token", 4, 2, Map.of("gamma", 0.0)))
        .isInstanceOf(MoeException.class)
        .hasMessageContaining("gamma 0.0");
    assertThatThrownBy(() -> router("sparse-ot-expert", 4, 2, Map.of("multiple", 0)))
        .isInstanceOf(MoeException.class)
        .hasMessageContaining("multiple 0");
    assertThatThrownBy(() -> router("sparse-ot-token-causal", 4, 2, Map.of("weights", "plan")))
        .isInstanceOf(MoeException.class)
        .hasMessageContaining("no option \"weights\"");
  }
}

package org.moe4j;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.moe4j.tensor.Tensor;

/** The cluster-conditional gate with its universal expert (S32). */
class MocleRouterTest extends InScope {
  private static final int D = 6;
  private static final int C = 5;
  private static final int M = 7;

  private static MoeConfig config(int experts, int k, Map<String, Object> options) {
    Map<String, Object> all = new HashMap<>(Map.of("clusters", C, "embedding", M));
    all.putAll(options);
    return MoeConfig.builder(D, 4, experts, k).router("mocle", all).init(InitScheme.T5).build();
  }

  private static TokenContext of(TokenContext context, long... clusters) {
    long[] labels = new long[(int) context.tokens()];
    Arrays.setAll(labels, t -> clusters[t / (int) context.length()]);
    return context.withDomains(Tensor.of(labels));
  }

  /** Softmax of one cluster's logits over the temperature. */
  private static double[] gate(ParameterStore store, int cluster, double temperature) {
    double[] t = rows(store.named("gate.clusters").tensor().detach())[cluster];
    double[] z = Loops.matvec(rows(store.named("gate.weight").tensor().detach()), t);
    double[] b = store.named("gate.bias").tensor().detach().toDoubles();
    Arrays.setAll(z, e -> (z[e] + b[e]) / temperature);
    return Loops.softmax(z);
  }

  @Test
  void everySampleIsItsTaskExpertAndTheUniversalOne() {
    ParameterStore store = wide(3);
    MoeLayer layer = new MoeLayer(config(5, 2, Map.of("temperature", 0.7)), store, 0);
    long[] clusters = {3, 0, 4, 3};
    Tensor x = normal(12, D);
    MoeOutput out = layer.forward(x, of(TokenContext.eval(4, 3), clusters));
    TokenChoice plan = (TokenChoice) out.routing();
    double[][] weights = rows(plan.weights().detach());
    int[][] experts = indices(plan.experts());
    double[][] y = rows(out.output().detach());
    for (int t = 0; t < 12; t++) {
      double[] p = gate(store, (int) clusters[t / 3], 0.7);
      int best = Loops.top(p, 1)[0];
      assertThat(experts[t]).containsExactly(best, 4);
      assertThat(weights[t]).containsExactly(new double[] {p[best], 1 - p[best]}, within(1e-12));
      double[] task = expert(store, best, rows(x)[t]);
      double[] universal = expert(store, 4, rows(x)[t]);
      for (int i = 0; i < D; i++) {
        double expected = p[best] * task[i] + (1 - p[best]) * universal[i];
        assertThat(y[t][i]).isCloseTo(expected, within(1e-9));
      }
    }
    Tensor alone = layer.forward(x.narrow(0, 6, 3), of(TokenContext.eval(1, 3), 4)).output();
    same(alone, out.output().narrow(0, 6, 3), 1e-12);
  }

  private static double[] expert(ParameterStore store, int e, double[] x) {
    double[][] in = rows(store.named("experts.w_in").tensor().detach().select(0, e));
    double[][] out = rows(store.named("experts.w_out").tensor().detach().select(0, e));
    return Loops.expert(ExpertForm.SWIGLU, in, out, new double[0], new double[0], x);
  }

  @Test
  void oneExpertWithoutAUniversalOneHasWeightOne() {
    Router router = new MoeLayer(config(1, 1, Map.of()), wide(3), 0).router();
    TokenChoice plan = (TokenChoice) router.route(normal(6, D), of(TokenContext.eval(2, 3), 1, 4));
    assertThat(plan.weights().toDoubles()).containsOnly(1);
    assertThat(plan.experts().toLongs()).containsOnly(0);
  }

  @Test
  void equalExpertsGiveTheSameForEveryGateButNotSquared() {
    Tensor x = normal(12, D);
    for (boolean squared : new boolean[] {false, true}) {
      ParameterStore store = wide(3);
      Map<String, Object> options = Map.of("temperature", 3.0, "gate-squared", squared);
      MoeLayer layer = new MoeLayer(config(4, 2, options), store, 0);
      for (String name : List.of("experts.w_in", "experts.w_out")) {
        Tensor w = store.named(name).tensor().detach();
        for (int e = 1; e < 4; e++) {
          w.select(0, e).copyInPlace(w.select(0, 0));
        }
      }
      double[][] y = rows(layer.forward(x, of(TokenContext.eval(4, 3), 0, 1, 2, 3)).output());
      for (int t = 0; t < 12; t++) {
        double[] p = gate(store, t / 3, 3);
        double w = p[Loops.top(p, 1)[0]];
        double factor = squared ? w * w + 1 - w : 1;
        double[] one = expert(store, 0, rows(x)[t]);
        for (int i = 0; i < D; i++) {
          assertThat(y[t][i]).isCloseTo(factor * one[i], within(1e-9));
        }
      }
    }
  }

  @Test
  void theTemperatureGoesFromTheBestAloneToAllAlike() {
    ParameterStore store = wide(3);
    MoeLayer cold = new MoeLayer(config(5, 2, Map.of("temperature", 1e-3)), store, 0);
    MoeLayer hot = new MoeLayer(config(5, 2, Map.of("temperature", 1e3)), wide(3), 0);
    for (int c = 0; c < C; c++) {
      double[] z = gate(store, c, 1);
      int[] top = Loops.top(z, 2);
      double w = weight(cold, c);
      if (Math.log(z[top[0]] / z[top[1]]) >= 0.01) {
        assertThat(w).isCloseTo(1, within(1e-3));
      }
      assertThat(weight(hot, c)).isCloseTo(0.25, within(1e-3));
    }
  }

  private double weight(MoeLayer layer, long cluster) {
    TokenChoice plan =
        (TokenChoice) layer.router().route(normal(1, D), of(TokenContext.eval(1, 1), cluster));
    return plan.weights().toDoubles()[0];
  }

  @Test
  void noiseIsOneDrawASequenceAndInTrainingAlone() {
    ParameterStore store = wide(3);
    MoeLayer layer = new MoeLayer(config(5, 2, Map.of("temperature", 1.0)), store, 0);
    Tensor x = normal(40, D);
    TokenChoice noisy =
        (TokenChoice) layer.router().route(x, of(train(8, 5), 2, 2, 2, 2, 2, 2, 2, 2));
    double[][] w = rows(noisy.weights().detach());
    for (int t = 0; t < 40; t++) {
      assertThat(w[t]).containsExactly(w[t / 5 * 5]);
    }
    assertThat(Arrays.stream(w).mapToDouble(r -> r[0]).distinct().count()).isEqualTo(8);
    TokenContext eval = of(TokenContext.eval(8, 5), 2, 2, 2, 2, 2, 2, 2, 2);
    double[] once = ((TokenChoice) layer.router().route(x, eval)).weights().toDoubles();
    assertThat(((TokenChoice) layer.router().route(x, eval)).weights().toDoubles())
        .containsExactly(once);
    assertThat(once).containsOnly(once[0], once[1]);
  }

  private TokenContext train(long b, long s) {
    return TokenContext.train(b, s, random);
  }

  @Test
  void gradientsAreThoseOfFiniteDifferencesAndAbsentClustersHaveNone() {
    ParameterStore store = wide(3);
    Map<String, Object> options = Map.of("temperature", 1.0, "noise", 0.0);
    MoeLayer layer = new MoeLayer(config(4, 2, options), store, 0);
    Tensor x = normal(9, D).requiresGrad(true);
    TokenContext context = of(train(3, 3), 3, 1, 3);
    Tensor g = normal(9, D);
    for (String name : List.of("gate.clusters", "gate.weight", "gate.bias", "experts.w_in")) {
      Tensor p = store.named(name).tensor();
      slopes(name, p, 1e-6, () -> layer.forward(x, context).output().mul(g).sum());
    }
    slopes("x", x, 1e-6, () -> layer.forward(x, context).output().mul(g).sum());
    MoeOutput out = layer.forward(x, context);
    out.output().mul(g).sum().backward();
    double[][] clusters = rows(store.named("gate.clusters").tensor().grad().orElseThrow());
    for (int c = 0; c < C; c++) {
      boolean present = c == 1 || c == 3;
      assertThat(Arrays.stream(clusters[c]).anyMatch(v -> v != 0)).isEqualTo(present);
    }
    for (double[] row : rows(store.named("gate.weight").tensor().grad().orElseThrow())) {
      assertThat(Arrays.stream(row).anyMatch(v -> v != 0)).isTrue();
    }
    Tensor experts = store.named("experts.w_in").tensor().grad().orElseThrow();
    long[] served = ((TokenChoice) out.routing()).experts().toLongs();
    for (int e = 0; e < 4; e++) {
      int expert = e;
      boolean chosen = Arrays.stream(served).anyMatch(s -> s == expert);
      assertThat(experts.select(0, e).abs().max().item() > 0).isEqualTo(chosen);
    }
  }

  @Test
  void anUnknownClusterIsLeftToTheUniversalExpert() {
    Router router = new MoeLayer(config(4, 2, Map.of()), wide(3), 0).router();
    TokenChoice plan = (TokenChoice) router.route(normal(4, D), of(TokenContext.eval(2, 2), -1, 2));
    assertThat(rows(plan.weights())[0]).containsExactly(0, 1);
    assertThat(indices(plan.experts())[0]).containsExactly(-1, 3);
    assertThat(indices(plan.experts())[2][0]).isNotNegative();
    ParameterStore store = wide(3);
    Router plain = new MoeLayer(config(4, 1, Map.of("temperature", 1.0)), store, 0).router();
    TokenChoice mean = (TokenChoice) plain.route(normal(1, D), of(TokenContext.eval(1, 1), -1));
    Tensor clusters = store.named("gate.clusters").tensor().detach();
    clusters.select(0, 0).copyInPlace(clusters.mean(0, false));
    TokenChoice same = (TokenChoice) plain.route(normal(1, D), of(TokenContext.eval(1, 1), 0));
    same(same.weights(), mean.weights(), 1e-12);
  }

  @Test
  void badInputIsRefused() {
    Router router = new MoeLayer(config(4, 2, Map.of()), wide(3), 0).router();
    Tensor x = normal(2, D);
    HashRouterTest.refused(
        () -> router.route(x, TokenContext.eval(1, 2)), "mocle", "cluster", "withDomains");
    HashRouterTest.refused(
        () -> router.route(x, of(TokenContext.eval(1, 2), C)), "domain 5", "clusters");
    HashRouterTest.refused(
        () -> router.route(x, of(train(1, 2), -1)), "tokens 0 and 1", "no domain");
    HashRouterTest.refused(() -> layer(Map.of("temperature", 0.0)), "temperature");
    HashRouterTest.refused(() -> layer(Map.of("clusters", 0)), "clusters");
    HashRouterTest.refused(() -> layer(Map.of("embedding", -1)), "embedding");
    HashRouterTest.refused(() -> layer(Map.of("noise", -0.1)), "noise");
    MoeConfig three = config(4, 3, Map.of());
    HashRouterTest.refused(() -> new MoeLayer(three, wide(1)), "top-k", "3");
  }

  private static MoeLayer layer(Map<String, Object> options) {
    return new MoeLayer(config(4, 2, options), wide(3), 0);
  }
}

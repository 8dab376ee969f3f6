package org.moe4j;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.Arrays;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.RandomSource;
import org.moe4j.tensor.Tensor;

/** What S08 says of FastMoE's layer and its gates. */
class FastMoeGatesTest extends InScope {
  private static final int D = 5;

  private final ParameterStore store = wide(1);

  private MoeLayer layer(String router, int experts, int k, Capacity capacity) {
    MoeLayer layer =
        new MoeLayer(
            MoeConfig.builder(D, 4, experts, k)
                .router(router)
                .form(ExpertForm.GELU.withBiases(true))
                .capacity(capacity)
                .init(InitScheme.T5)
                .build(),
            store);
    RandomSource r = new RandomSource(6);
    for (Parameter p : store.all()) {
      p.tensor().detach().addInPlace(r.normal(0, 0.5, DType.F64, p.tensor().shape()));
    }
    return layer;
  }

  private static TokenContext train(long tokens) {
    return TokenContext.train(1, tokens, new RandomSource(9));
  }

  private double[][] values(String name, int expert) {
    Tensor t = store.named(name).tensor().detach().select(0, expert);
    return t.dim() == 2 ? rows(t) : new double[][] {t.toDoubles()};
  }

  private double[] expert(int e, double[] x) {
    return Loops.expert(
        ExpertForm.GELU.withBiases(true),
        values("experts.w_in", e),
        values("experts.w_out", e),
        values("experts.b_in", e)[0],
        values("experts.b_out", e)[0],
        x);
  }

  private double[] logits(double[] x) {
    double[] z = Loops.matvec(rows(store.named("gate.weight").tensor().detach()), x);
    double[] bias = store.named("gate.bias").tensor().toDoubles();
    for (int e = 0; e < z.length; e++) {
      z[e] += bias[e];
    }
    return z;
  }

  @Test
  void theNaiveLayerIsALoopOverTokens() {
    for (int experts : new int[] {1, 4, 9}) {
      for (int k = 1; k <= Math.min(4, experts); k++) {
        MoeLayer layer = layer("fastmoe-naive", experts, k, Capacity.NONE);
        Tensor x = normal(11, D);
        double[][] y = rows(layer.forward(x, train(11)).output());
        for (int t = 0; t < 11; t++) {
          double[] z = logits(rows(x)[t]);
          int[] top = Loops.top(z, k);
          double[] g = Loops.softmax(Arrays.stream(top).mapToDouble(e -> z[e]).toArray());
          double[] expected = new double[D];
          for (int j = 0; j < k; j++) {
            double[] out = expert(top[j], rows(x)[t]);
            for (int i = 0; i < D; i++) {
              expected[i] += g[j] * out[i];
            }
          }
          assertThat(y[t]).containsExactly(expected, within(1e-10));
        }
        store.close();
      }
    }
  }

  @Test
  void itsGradientsAreThoseOfTheDifferences() {
    MoeLayer layer = layer("fastmoe-naive", 9, 3, Capacity.NONE);
    Tensor x = normal(4, D).requiresGrad(true);
    Tensor task = normal(4, D);
    slopes("x", x, 1e-6, () -> layer.forward(x, train(4)).output().mul(task).sum());
    for (Parameter p : store.all()) {
      slopes(p.name(), p.tensor(), 1e-6, () -> layer.forward(x, train(4)).output().mul(task).sum());
    }
  }

  @Test
  void theNoisyGatesLossIsTheTwoVariationsWithUnbiasedVariance() {
    ParameterStore own = wide(1);
    NoisyTopKRouter router = new NoisyTopKRouter(D, 6, 2, 0.01, Init.kaimingUniform(D), own, 0);
    assertThat(own.named("gate.noise_weight").tensor().abs().max().item())
        .isBetween(0.2, 1 / Math.sqrt(D));
    TokenContext context = train(30);
    TokenChoice r = router.route(normal(30, D), context);
    double[] importance = new double[6];
    for (int t = 0; t < 30; t++) {
      for (int j = 0; j < 2; j++) {
        importance[indices(r.experts())[t][j]] += rows(r.weights())[t][j];
      }
    }
    double[] load = r.evidence().membership().orElseThrow().sum(0, false).toDoubles();
    double expected = unbiased(importance) + unbiased(load);
    assertThat(new FastMoeNoisyBalance().loss(r, context).item()).isCloseTo(expected, within(1e-8));
  }

  private static double unbiased(double[] v) {
    double mean = Arrays.stream(v).average().orElseThrow();
    double squares = Arrays.stream(v).map(x -> (x - mean) * (x - mean)).sum();
    return squares / (v.length - 1) / (mean * mean);
  }

  @Test
  void bothChoicesOfTheGShardGateCompeteInTokenOrder() {
    int tokens = 40;
    int experts = 4;
    Capacity capacity = Capacity.fastMoeGshard(0.6, 2.4);
    MoeLayer layer = layer("fastmoe-gshard", experts, 2, capacity);
    Tensor x = normal(tokens, D);
    TokenChoice r = (TokenChoice) layer.forward(x, train(tokens)).routing();
    double[][] u = rows(new RandomSource(9).uniform(tokens, 1));
    int slots = 2 * 24 / experts;
    int[] used = new int[experts];
    int dropped = 0;
    for (int t = 0; t < tokens; t++) {
      double[] z = logits(rows(x)[t]);
      int[] top = Loops.top(z, 2);
      double[] g = Loops.softmax(new double[] {z[top[0]], z[top[1]]});
      for (int j = 0; j < 2; j++) {
        // Chance is drawn after room was taken: a rejected choice has used up its place.
        boolean room = used[top[j]]++ < slots;
        boolean kept = room && (j == 0 || 2 * g[1] > u[t][0]);
        dropped += room ? 0 : 1;
        assertThat(indices(r.experts())[t][j]).isEqualTo(kept ? top[j] : -1);
        assertThat(rows(r.weights())[t][j]).isCloseTo(kept ? g[j] : 0, within(1e-8));
      }
    }
    assertThat(dropped).isPositive();
    TokenChoice eval = (TokenChoice) layer.forward(x, TokenContext.eval(1, tokens)).routing();
    assertThat(eval.wanted().to(DType.I64).sum().item()).isEqualTo(2.0 * tokens);
  }

  @Test
  void theSwitchGateNeverExceedsItsCapacityAndCountsWhatItServed() {
    int tokens = 40;
    MoeLayer layer = layer("fastmoe-switch", 4, 1, Capacity.fastMoeSwitch(0.8, 2.4));
    TokenContext context = train(tokens);
    TokenChoice r = (TokenChoice) layer.forward(normal(tokens, D), context).routing();
    double[] served = RoutingStats.of(r, context).served();
    double all = Arrays.stream(served).sum();
    assertThat(Arrays.stream(served).max().orElseThrow()).isLessThanOrEqualTo(8);
    assertThat(all).isLessThan(tokens);
    double[] p = r.evidence().probabilities().orElseThrow().sum(0, false).toDoubles();
    double expected = 0;
    for (int e = 0; e < 4; e++) {
      expected += 4 * served[e] / all * p[e] / all;
    }
    assertThat(new FastMoeSwitchBalance().loss(r, context).item())
        .isCloseTo(expected, within(1e-12));
    TokenChoice none = r.keeping(r.kept().and(r.kept().not()));
    assertThat(new FastMoeSwitchBalance().loss(none, context).item()).isZero();
  }

  @Test
  void refusedPairsNameBothSides() {
    MoeConfig naive =
        MoeConfig.builder(D, 4, 4, 2)
            .router("fastmoe-naive")
            .balance(new FastMoeNoisyBalance(), 0.1)
            .build();
    assertThatThrownBy(() -> Validity.check(naive, Validity.Use.ENCODER, false))
        .isInstanceOf(MoeException.class)
        .hasMessageContainingAll("\"fastmoe-noisy\"", "\"fastmoe-naive\"");
    MoeConfig noisy =
        naive.toBuilder()
            .router("fastmoe-noisy", Map.of("gate-init", "zeros"))
            .init(InitScheme.SHAZEER)
            .build();
    assertThat(Validity.check(noisy, Validity.Use.ENCODER, false)).isEmpty();
    assertThatThrownBy(() -> new CapacityRule.WholeTokens(0))
        .isInstanceOf(MoeException.class)
        .hasMessageContaining("factor of 0.0");
  }
}

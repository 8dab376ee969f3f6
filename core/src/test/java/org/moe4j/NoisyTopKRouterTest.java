package org.moe4j;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.Device;
import org.moe4j.tensor.RandomSource;
import org.moe4j.tensor.Scope;
import org.moe4j.tensor.Tensor;

/** What S01 says the noisy gate and its losses must do. */
class NoisyTopKRouterTest extends InScope {
  private static final int D = 5;
  private static final int E = 6;

  private final ParameterStore store = wide(1);

  private NoisyTopKRouter router(int k) {
    NoisyTopKRouter router = new NoisyTopKRouter(D, E, k, 0, Init.zeros(), store, 0);
    RandomSource r = new RandomSource(4);
    for (Parameter p : store.all()) {
      p.tensor().detach().copyInPlace(r.normal(0, 0.7, DType.F64, E, D));
    }
    return router;
  }

  private static TokenContext train(long tokens, long seed) {
    return TokenContext.train(1, tokens, new RandomSource(seed));
  }

  /** The noise that a context with this seed draws. */
  private static double[][] noise(long tokens, long seed) {
    return rows(new RandomSource(seed).normal(0, 1, DType.F32, tokens, E));
  }

  private double[][] logits(Tensor x) {
    return rows(x.matmul(store.named("gate.weight").tensor().detach().t()));
  }

  private double[][] deviations(Tensor x) {
    double[][] s = rows(x.matmul(store.named("gate.noise_weight").tensor().detach().t()));
    for (double[] row : s) {
      for (int e = 0; e < E; e++) {
        row[e] = Math.log1p(Math.exp(row[e]));
      }
    }
    return s;
  }

  @Test
  void theGateIsASoftmaxOverTheBestNoisyLogits() {
    for (int k : new int[] {1, 2, E}) {
      NoisyTopKRouter router = router(k);
      Tensor x = normal(20, D);
      TokenChoice r = router.route(x, train(20, 9));
      double[][] c = logits(x);
      double[][] s = deviations(x);
      double[][] n = noise(20, 9);
      for (int t = 0; t < 20; t++) {
        double[] h = new double[E];
        for (int e = 0; e < E; e++) {
          h[e] = c[t][e] + n[t][e] * s[t][e];
        }
        int[] top = Loops.top(h, k);
        assertThat(indices(r.experts())[t]).containsExactly(top);
        double[] picked = Arrays.stream(top).mapToDouble(e -> h[e]).toArray();
        assertThat(rows(r.weights())[t]).containsExactly(Loops.softmax(picked), within(1e-12));
      }
      store.close();
    }
  }

  @Test
  void evaluationDrawsNoNoise() {
    NoisyTopKRouter router = router(2);
    Tensor x = normal(20, D);
    TokenChoice r = router.route(x, TokenContext.eval(1, 20));
    double[][] c = logits(x);
    for (int t = 0; t < 20; t++) {
      assertThat(indices(r.experts())[t]).containsExactly(Loops.top(c[t], 2));
    }
    assertThat(r.evidence().membership()).isEmpty();
  }

  @Test
  void membershipIsTheChanceUnderRedrawnNoise() {
    int k = 2;
    NoisyTopKRouter router = router(k);
    Tensor x = normal(2, D);
    double[][] p = rows(router.route(x, train(2, 9)).evidence().membership().orElseThrow());
    double[][] c = logits(x);
    double[][] s = deviations(x);
    double[][] n = noise(2, 9);
    Random redraw = new Random(3);
    int draws = 100_000;
    for (int t = 0; t < 2; t++) {
      for (int i = 0; i < E; i++) {
        int in = 0;
        for (int draw = 0; draw < draws; draw++) {
          double mine = c[t][i] + redraw.nextGaussian() * s[t][i];
          int better = 0;
          for (int j = 0; j < E; j++) {
            better += j != i && c[t][j] + n[t][j] * s[t][j] > mine ? 1 : 0;
          }
          in += better < k ? 1 : 0;
        }
        assertThat(p[t][i])
            .as("token %d expert %d", t, i)
            .isCloseTo((double) in / draws, within(0.01));
      }
    }
  }

  @Test
  void lossesHaveTheGradientOfTheirDifferences() {
    NoisyTopKRouter router = router(2);
    Tensor x = normal(12, D);
    for (Balance loss : new Balance[] {new ImportanceBalance(), new LoadBalance()}) {
      for (String name : new String[] {"gate.weight", "gate.noise_weight"}) {
        Tensor leaf = store.named(name).tensor();
        slopes(
            loss.name() + " " + name,
            leaf,
            1e-5,
            () -> loss.loss(router.route(x, train(12, 9)), train(12, 9)));
      }
    }
    store.named("gate.weight").tensor().clearGrad();
    new LoadBalance().loss(router.route(x, train(12, 9)), train(12, 9)).backward();
    assertThat(store.named("gate.weight").tensor().grad().orElseThrow().abs().sum().item())
        .isPositive();
  }

  @Test
  void withAllExpertsChosenTheLoadHasNoGradient() {
    NoisyTopKRouter router = router(E);
    Tensor load = new LoadBalance().loss(router.route(normal(8, D), train(8, 1)), train(8, 1));
    assertThat(load.item()).isZero();
    assertThat(load.requiresGrad()).isFalse();
  }

  @Test
  void aZeroGateSpreadsTokensByNoiseAlone() {
    int tokens = 100_000;
    int k = 2;
    NoisyTopKRouter router = new NoisyTopKRouter(D, E, k, 0, Init.zeros(), wide(1), 0);
    TokenContext context = train(tokens, 5);
    TokenChoice r = router.route(normal(tokens, D), context);
    double share = (double) k / E;
    for (double load : RoutingStats.of(r, context).asked()) {
      assertThat(load)
          .isCloseTo(tokens * share, within(5 * Math.sqrt(tokens * share * (1 - share))));
    }
    double[] importance = new double[E];
    int[][] experts = indices(r.experts());
    double[][] weights = rows(r.weights());
    for (int t = 0; t < tokens; t++) {
      for (int j = 0; j < k; j++) {
        importance[experts[t][j]] += weights[t][j];
      }
    }
    for (double i : importance) {
      assertThat(i).isCloseTo((double) tokens / E, within(5 * Math.sqrt((double) tokens / E)));
    }
  }

  @Test
  void trainingWithTheSameSeedIsReproducible() {
    NoisyTopKRouter router = router(2);
    Tensor x = normal(30, D);
    assertThat(router.route(x, train(30, 4)).weights().toDoubles())
        .containsExactly(router.route(x, train(30, 4)).weights().toDoubles());
  }

  @Test
  void theLayerIsTheSumOverAllExperts() {
    for (String name : new String[] {"noisy-top-k", "hierarchical"}) {
      for (int k : new int[] {1, 2, E}) {
        MoeLayer layer =
            new MoeLayer(
                MoeConfig.builder(D, 4, E, k).router(name).form(ExpertForm.RELU).build(), store);
        RandomSource r = new RandomSource(4);
        for (Parameter p : store.all()) {
          p.tensor().detach().copyInPlace(r.normal(0, 0.7, DType.F64, p.tensor().shape()));
        }
        Tensor x = normal(30, D);
        MoeOutput out = layer.forward(x, train(30, 9));
        TokenChoice plan = (TokenChoice) out.routing();
        double[][] y = rows(out.output());
        double[][] in = rows(x);
        double[][] weights = rows(plan.weights());
        int[][] chosen = indices(plan.experts());
        for (int t = 0; t < 30; t++) {
          double[] expected = new double[D];
          for (int j = 0; j < k; j++) {
            int e = chosen[t][j];
            double[] one =
                Loops.expert(
                    ExpertForm.RELU,
                    rows(store.named("experts.w_in").tensor().select(0, e)),
                    rows(store.named("experts.w_out").tensor().select(0, e)),
                    new double[0],
                    new double[0],
                    in[t]);
            for (int i = 0; i < D; i++) {
              expected[i] += weights[t][j] * one[i];
            }
          }
          assertThat(y[t]).containsExactly(expected, within(1e-12));
        }
        store.close();
      }
    }
  }

  /** The paper's ablation in small: a skewed gate with 32 experts, moved by the losses alone. */
  @Test
  void bothLossesTogetherSpreadASkewedGate() {
    int experts = 32;
    NoisyTopKRouter router = new NoisyTopKRouter(D, experts, 2, 0, Init.normal(0.5), store, 0);
    Tensor skew = Tensor.full(2.0, DType.F64, Device.CPU, 1, D);
    assertThat(imbalance(router, skew)).isGreaterThan(5);
    for (int step = 0; step < 250; step++) {
      try (Scope pass = Scope.open()) {
        TokenContext context = train(256, step);
        TokenChoice r = router.route(normal(256, D).add(skew), context);
        Tensor loss = new ImportanceBalance().loss(r, context);
        loss.add(new LoadBalance().loss(r, context)).backward();
        for (Parameter p : store.all()) {
          Tensor g = p.tensor().grad().orElseThrow();
          p.tensor()
              .detach()
              .addInPlace(g, -0.05 * (1 - step / 250.0) / Math.max(1e-9, g.abs().max().item()));
          p.tensor().clearGrad();
        }
      }
    }
    assertThat(imbalance(router, skew)).isLessThan(1.5);
  }

  private double imbalance(NoisyTopKRouter router, Tensor skew) {
    TokenContext context = train(4096, 99);
    return RoutingStats.of(router.route(normal(4096, D).add(skew), context), context).imbalance();
  }
}

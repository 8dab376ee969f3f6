package org.moe4j;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.moe4j.DSelectKRouter.Regularisers;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.RandomSource;
import org.moe4j.tensor.Tensor;

/** What S11 says the DSelect-k gate and its losses must do. */
class DSelectKRouterTest extends InScope {
  private static final int D = 3;
  private static final Regularisers PLAIN = new Regularisers(1, 0, true, 0);

  private final ParameterStore store = wide(1);

  private DSelectKRouter example(int experts, int k, double gamma, Regularisers how) {
    return new DSelectKRouter(D, experts, k, true, 1, new SmoothStep(gamma), how, store, 0);
  }

  private DSelectKRouter fixed(int experts, int k, int tasks, Regularisers how) {
    return new DSelectKRouter(D, experts, k, false, tasks, new SmoothStep(1), how, store, 0);
  }

  private void set(String name, Tensor values) {
    store.named(name).tensor().detach().copyInPlace(values);
  }

  private Tensor leaf(String name) {
    return store.named(name).tensor();
  }

  private static TokenContext train(long tokens) {
    return TokenContext.train(1, tokens, new RandomSource(1));
  }

  private static double s(double t, double gamma) {
    if (t <= -gamma / 2) {
      return 0;
    }
    if (t >= gamma / 2) {
      return 1;
    }
    return -2 * t * t * t / (gamma * gamma * gamma) + 3 * t / (2 * gamma) + 0.5;
  }

  /** r of one selector over the n experts, digit by digit, from the definition. */
  private static double[] selector(double[] z, int n, double gamma) {
    double[] r = new double[n];
    for (int i = 0; i < n; i++) {
      r[i] = 1;
      for (int j = 0; j < z.length; j++) {
        double one = s(z[j], gamma);
        r[i] *= (i >> (z.length - 1 - j) & 1) == 1 ? one : 1 - one;
      }
    }
    return r;
  }

  private static double[] gate(double[] z, double[] alpha, int n, double gamma) {
    int m = z.length / alpha.length;
    double[] w = Loops.softmax(alpha);
    double[] q = new double[n];
    for (int s = 0; s < alpha.length; s++) {
      double[] r = selector(Arrays.copyOfRange(z, s * m, (s + 1) * m), n, gamma);
      for (int i = 0; i < n; i++) {
        q[i] += w[s] * r[i];
      }
    }
    return q;
  }

  @Test
  void theSmoothStepHasItsValuesAndSlope() {
    for (double gamma : new double[] {0.1, 1, 10}) {
      SmoothStep step = new SmoothStep(gamma);
      Tensor t =
          Tensor.of(
              new double[] {
                0, gamma / 4, -gamma / 4, gamma / 2, -gamma / 2, gamma, -gamma, 0.1 * gamma
              },
              8);
      double[] v = step.of(t).toDoubles();
      assertThat(Arrays.copyOf(v, 3)).containsExactly(0.5, 0.84375, 0.15625);
      assertThat(Arrays.copyOfRange(v, 3, 7)).containsExactly(1, 0, 1, 0);
      Tensor many = random.uniform(-gamma, gamma, DType.F64, 500).sort(0, false).values();
      double[] up = step.of(many).toDoubles();
      double[] down = step.of(many.neg()).toDoubles();
      for (int i = 0; i < up.length; i++) {
        assertThat(up[i]).isBetween(i == 0 ? 0 : up[i - 1], 1.0);
        assertThat(up[i] + down[i]).isCloseTo(1, within(1e-15));
      }
      Tensor x = Tensor.of(t.toDoubles(), 8).requiresGrad(true);
      step.of(x).sum().backward();
      double[] slope = x.grad().orElseThrow().toDoubles();
      for (int i = 0; i < 8; i++) {
        double at = t.toDoubles()[i];
        double h = 1e-6 * gamma;
        double expected = (s(at + h, gamma) - s(at - h, gamma)) / (2 * h);
        assertThat(slope[i]).isCloseTo(expected, within(1e-5 / gamma));
      }
      assertThat(Arrays.copyOfRange(slope, 3, 7)).containsOnly(0);
    }
  }

  @Test
  void aHandMadeSelector() {
    DSelectKRouter router = fixed(4, 1, 1, PLAIN);
    set("gate.code", Tensor.of(new double[] {0.25, -0.25}, 1, 2));
    Blend.Dense r = (Blend.Dense) router.route(normal(1, D), train(1));
    assertThat(r.weights().toDoubles())
        .containsExactly(new double[] {0.131836, 0.024414, 0.711914, 0.131836}, within(1e-6));
  }

  @Test
  void weightsEqualTheDefinition() {
    for (int n : new int[] {1, 2, 3, 5, 8, 13}) {
      for (int k : new int[] {1, 2, 3}) {
        store.close();
        DSelectKRouter router = example(n, k, 2, new Regularisers(0, 0, true, 1e-3));
        for (Parameter p : store.all()) {
          set(p.name(), normal(p.tensor().shape()).mul(0.3));
        }
        Tensor x = normal(7, D);
        double[][] q = rows(((Blend.Dense) router.route(x, train(7))).weights());
        int m = BinaryCodes.digits(n);
        double[][] z = m == 0 ? new double[7][0] : numbers(x, "gate.code");
        double[][] alpha = numbers(x, "gate.mix");
        for (int t = 0; t < 7; t++) {
          assertThat(q[t]).containsExactly(gate(z[t], alpha[t], n, 2), within(1e-12));
          double sum = Arrays.stream(q[t]).sum();
          if (n == 1 << m) {
            assertThat(sum).isCloseTo(1, within(1e-12));
          } else {
            assertThat(sum).isBetween(0.0, 1 + 1e-12);
          }
        }
      }
    }
  }

  private double[][] numbers(Tensor x, String name) {
    Tensor bias = leaf(name + "_bias").detach();
    return rows(x.matmul(leaf(name).detach().t()).add(bias));
  }

  /** The two losses by their formulas, summed over rows and selectors. */
  private static double entropy(double[] r) {
    return -Arrays.stream(r).map(p -> p * Math.log(p + 1e-6)).sum();
  }

  @Test
  void lossesEqualTheirFormulasAndCountRealTokensAlone() {
    for (boolean summed : new boolean[] {true, false}) {
      store.close();
      DSelectKRouter router = example(5, 2, 3, new Regularisers(0.7, 0, summed, 0));
      for (Parameter p : store.all()) {
        set(p.name(), normal(p.tensor().shape()).mul(0.3));
      }
      Tensor x = normal(4, D);
      Tensor mask = Tensor.of(new byte[] {1, 0, 1, 1}).to(DType.BOOL);
      Map<String, Tensor> losses = router.route(x, train(4).withPadding(mask)).evidence().losses();
      double[][] z = numbers(x, "gate.code");
      double h = 0;
      double unused = 0;
      for (int t : new int[] {0, 2, 3}) {
        for (int s = 0; s < 2; s++) {
          double[] r = selector(Arrays.copyOfRange(z[t], 3 * s, 3 * s + 3), 5, 3);
          h += entropy(r);
          unused += 1 / Arrays.stream(r).sum();
        }
      }
      double rows = summed ? 1 : 3;
      assertThat(losses.get("dselect-entropy").item()).isCloseTo(0.7 * h / rows, within(1e-12));
      assertThat(losses.get("dselect-codes").item()).isCloseTo(unused / rows, within(1e-12));
    }
  }

  @Test
  void gradientsEqualDifferences() {
    for (int n : new int[] {4, 6}) {
      for (boolean perExample : new boolean[] {true, false}) {
        store.close();
        DSelectKRouter router = perExample ? example(n, 2, 4, PLAIN) : fixed(n, 2, 1, PLAIN);
        Tensor x = normal(5, D).requiresGrad(true);
        Tensor outputs = normal(n, 5, 2).requiresGrad(true);
        Map<String, Tensor> leaves = new LinkedHashMap<>();
        for (Parameter p : store.all()) {
          set(p.name(), normal(p.tensor().shape()).mul(0.2));
          leaves.put(p.name(), p.tensor());
        }
        leaves.put("outputs", outputs);
        if (perExample) {
          leaves.put("x", x);
        }
        leaves.forEach(
            (name, leaf) ->
                slopes(
                    name,
                    leaf,
                    1e-6,
                    () -> {
                      Blend.Dense r = (Blend.Dense) router.route(x, train(5));
                      Tensor y = Tensor.einsum("te,etd->td", r.weights(), outputs);
                      return r.evidence().losses().values().stream()
                          .reduce(y.square().sum(), Tensor::add);
                    }));
      }
    }
  }

  @Test
  void saturatedSelectorsLeaveAtMostKWeightsAndEvaluationComputesOnlyThose() {
    MoeConfig config = MoeConfig.builder(D, 6, 8, 2).router("dselect-k").build();
    MoeLayer layer = new MoeLayer(config, store);
    set("gate.code", normal(6, D).mul(1e6));
    Tensor x = normal(40, D);
    Blend.Dense dense = (Blend.Dense) layer.router().route(x, train(40));
    TokenChoice sparse = (TokenChoice) layer.router().route(x, TokenContext.eval(1, 40));
    assertThat(sparse.k()).isEqualTo(2);
    double[][] q = rows(dense.weights());
    double[][] w = rows(sparse.weights());
    int[][] chosen = indices(sparse.experts());
    for (int t = 0; t < 40; t++) {
      double[] same = new double[8];
      for (int j = 0; j < 2; j++) {
        if (chosen[t][j] >= 0) {
          same[chosen[t][j]] += w[t][j];
        }
      }
      // Bit for bit; what is not chosen is exactly 0.
      assertThat(q[t]).containsExactly(same);
      assertThat(Arrays.stream(q[t]).filter(v -> v != 0).count()).isBetween(1L, 2L);
    }
    same(
        layer.forward(x, TokenContext.eval(1, 40)).output(),
        layer.forward(x, train(40)).output(),
        1e-13);
  }

  @Test
  void untilConvergedEvaluationIsDense() {
    assertThat(example(8, 2, 1, PLAIN).route(normal(3, D), TokenContext.eval(1, 3)))
        .isInstanceOf(Blend.Dense.class);
  }

  @Test
  void oneSelectorHasWeightOneAndNoGradientInItsMixture() {
    DSelectKRouter router = example(4, 1, 1, PLAIN);
    Blend.Dense r = (Blend.Dense) router.route(normal(6, D), train(6));
    r.weights().square().sum().backward();
    assertThat(leaf("gate.mix").grad().orElseThrow().toDoubles()).containsOnly(0);
    assertThat(leaf("gate.code").grad().orElseThrow().abs().sum().item()).isPositive();
  }

  @Test
  void selectorsOnTheSameExpertAddTheirWeights() {
    DSelectKRouter router = fixed(4, 2, 1, PLAIN);
    set("gate.code", Tensor.of(new double[] {9, -9, 9, -9}, 1, 4));
    TokenChoice r = (TokenChoice) router.route(normal(1, D), TokenContext.eval(1, 1));
    assertThat(r.experts().toLongs()).containsExactly(2);
    assertThat(r.weights().toDoubles()).containsExactly(new double[] {1}, within(1e-15));
  }

  @Test
  void swappedSelectorsAndFlippedDigitsChangeNothingElse() {
    DSelectKRouter router = fixed(8, 2, 1, PLAIN);
    double[] z = normal(6).mul(0.2).toDoubles();
    double[] a = normal(2).toDoubles();
    set("gate.code", Tensor.of(z, 1, 6));
    set("gate.mix", Tensor.of(a, 1, 2));
    double[] q = weights(router);
    set("gate.code", Tensor.of(new double[] {z[3], z[4], z[5], z[0], z[1], z[2]}, 1, 6));
    set("gate.mix", Tensor.of(new double[] {a[1], a[0]}, 1, 2));
    assertThat(weights(router)).containsExactly(q, within(1e-15));
    int flip = 0b101;
    set("gate.code", Tensor.of(new double[] {-z[0], z[1], -z[2], -z[3], z[4], -z[5]}, 1, 6));
    set("gate.mix", Tensor.of(a, 1, 2));
    double[] flipped = weights(router);
    for (int i = 0; i < 8; i++) {
      assertThat(flipped[i ^ flip]).isCloseTo(q[i], within(1e-15));
    }
  }

  private double[] weights(DSelectKRouter router) {
    return ((Blend.Dense) router.route(normal(1, D), train(1))).weights().toDoubles();
  }

  @Test
  void aStaticGateEqualsAnExampleGateOfBiasesAlone() {
    DSelectKRouter one = fixed(6, 2, 1, PLAIN);
    Tensor z = normal(1, 6).mul(0.3);
    Tensor a = normal(1, 2);
    set("gate.code", z);
    set("gate.mix", a);
    double[] q = weights(one);
    store.close();
    DSelectKRouter two = example(6, 2, 1, PLAIN);
    set("gate.code", Tensor.zeros(DType.F64, store.device(), 6, D));
    set("gate.mix", Tensor.zeros(DType.F64, store.device(), 2, D));
    set("gate.code_bias", z.view(6));
    set("gate.mix_bias", a.view(2));
    for (double[] row : rows(((Blend.Dense) two.route(normal(9, D), train(9))).weights())) {
      assertThat(row).containsExactly(q);
    }
  }

  @Test
  void aTokensDomainPicksItsStaticGate() {
    DSelectKRouter router = fixed(4, 1, 2, PLAIN);
    set("gate.code", Tensor.of(new double[] {-9, -9, -9, 9, 9, 9}, 3, 2));
    TokenContext context = TokenContext.eval(1, 3);
    TokenChoice r =
        (TokenChoice)
            router.route(normal(3, D), context.withDomains(Tensor.of(new long[] {1, 0, -1}, 3)));
    assertThat(r.experts().toLongs()).containsExactly(1, 0, 3);
    assertThatThrownBy(() -> router.route(normal(3, D), context))
        .isInstanceOf(MoeException.class)
        .hasMessageContaining("without domains");
    assertThatThrownBy(
            () ->
                router.route(normal(3, D), context.withDomains(Tensor.of(new long[] {1, 2, 0}, 3))))
        .isInstanceOf(MoeException.class)
        .hasMessageContaining("domain 2");
  }

  @Test
  void entropyIsLargestAtTheStartAndNoneForOneHots() {
    DSelectKRouter router = fixed(8, 3, 1, PLAIN);
    set("gate.code", Tensor.zeros(DType.F64, store.device(), 1, 9));
    assertThat(entropyLoss(router)).isCloseTo(3 * Math.log(8), within(1e-4));
    set("gate.code", normal(1, 9).add(100));
    assertThat(entropyLoss(router)).isCloseTo(0, within(3 * 8 * 1e-6));
  }

  private double entropyLoss(DSelectKRouter router) {
    return router.route(normal(1, D), train(1)).evidence().losses().get("dselect-entropy").item();
  }

  @Test
  void theEntropysWeightRisesWithOptimiserStepsAlone() {
    DSelectKRouter router = fixed(8, 1, 1, new Regularisers(1, 4, true, 0));
    set("gate.code", Tensor.zeros(DType.F64, store.device(), 1, 3));
    double full = Math.log(8);
    assertThat(entropyLoss(router)).isCloseTo(full / 4, within(1e-4));
    TokenContext eval = TokenContext.eval(1, 1);
    Routing r = router.route(normal(1, D), eval);
    assertThat(r.evidence().losses()).isEmpty();
    assertThat(entropyLoss(router)).isCloseTo(full / 4, within(1e-4));
    for (int step = 2; step <= 6; step++) {
      router.controllers().getFirst().update(RoutingStats.of(r, eval));
      assertThat(entropyLoss(router)).isCloseTo(full * Math.min(1, step / 4.0), within(1e-4));
    }
    assertThat(leaf("gate.steps").toLongs()).containsExactly(5);
  }

  @Test
  void descentMovesAllWeightToCodesThatExpertsHave() {
    for (int n : new int[] {5, 6, 7}) {
      store.close();
      DSelectKRouter router = fixed(n, 2, 1, new Regularisers(0, 0, true, 0));
      double first = 0;
      double last = 0;
      for (int i = 0; i < 120; i++) {
        Routing r = router.route(normal(1, D), train(1));
        Tensor loss = r.evidence().losses().get("dselect-codes");
        last = loss.item();
        first = i == 0 ? last : first;
        loss.backward();
        Tensor z = leaf("gate.code");
        z.detach().addInPlace(z.grad().orElseThrow(), -0.1);
        z.clearGrad();
      }
      assertThat(first).isGreaterThan(2.2);
      assertThat(last).isCloseTo(2, within(0.01));
      assertThat(Arrays.stream(weights(router)).sum()).isGreaterThan(0.999);
    }
  }

  @Test
  void mistakesAreRefused() {
    refused(() -> new SmoothStep(0), "gamma 0.0");
    refused(() -> new Regularisers(-1, 0, true, 0), "entropy -1.0");
    refused(() -> fixed(4, 2, 0, PLAIN), "tasks 0");
    refused(
        () -> new DSelectKRouter(D, 4, 2, true, 3, new SmoothStep(1), PLAIN, store, 0),
        "need gate \"static\"");
    DSelectKRouter stuck = fixed(5, 1, 1, PLAIN);
    set("gate.code", Tensor.of(new double[] {9, 9, 9}, 1, 3));
    refused(
        () -> stuck.route(normal(1, D), train(1)), "stuck on a code that none of the 5 experts");
  }

  private static void refused(Runnable action, String message) {
    assertThatThrownBy(action::run)
        .isInstanceOf(MoeException.class)
        .hasMessageContaining(message)
        .hasMessageNotContaining("\n");
  }
}

package org.moe4j;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.Arrays;
import java.util.HashSet;
import java.util.Map;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.RandomSource;
import org.moe4j.tensor.Tensor;

/** What S54 says of expert preferred routing and nested experts. */
class MoneRouterTest extends InScope {
  private static final int D = 16;
  private static final int H = 6;
  private static final int E = 4;
  private static final ExpertForm FORM = ExpertForm.GELU.withBiases(true);

  private final ParameterStore store = wide(1);

  private static MoeConfig config(int experts, Map<String, ?> options) {
    return MoeConfig.builder(D, H, experts, 1)
        .router("mone", options)
        .form(FORM)
        .init(InitScheme.T5)
        .build();
  }

  private MoeLayer layer(Map<String, ?> options) {
    store.close();
    MoeLayer layer = new MoeLayer(config(E, options), store);
    store.named("mone.bias").tensor().detach().copyInPlace(normal(E));
    store.named("experts.b_in").tensor().detach().copyInPlace(normal(H));
    store.named("experts.b_out").tensor().detach().copyInPlace(normal(D));
    return layer;
  }

  private double[][] probabilities(double[][] x) {
    double[][] w = rows(store.named("mone.weight").tensor());
    double[] b = store.named("mone.bias").tensor().toDoubles();
    return Arrays.stream(x)
        .map(
            row -> {
              double[] z = Loops.matvec(w, row);
              Arrays.setAll(z, e -> z[e] + b[e]);
              return Loops.softmax(z);
            })
        .toArray(double[][]::new);
  }

  /** Algorithm 1 by repeated search with taken tokens at minus infinity. */
  private static int[] preferred(double[][] r, int from, int n, double[] c) {
    int[] chosen = new int[n];
    boolean[] taken = new boolean[n];
    for (int j = c.length - 1; j > 0; j--) {
      int count = (int) Math.floor(c[j] * n + 1e-6);
      double[] column = new double[n];
      for (int t = 0; t < n; t++) {
        column[t] = taken[t] ? Double.NEGATIVE_INFINITY : r[from + t][j];
      }
      for (int t : Loops.top(column, count)) {
        chosen[t] = j;
        taken[t] = true;
      }
    }
    return chosen;
  }

  /** Expert j's output by weights that are sliced and filled up with zeros explicitly. */
  private double[] expert(int j, double[] x) {
    int m = D >> (E - 1 - j);
    double[][] in = rows(store.named("experts.w_in").tensor());
    double[][] out = rows(store.named("experts.w_out").tensor());
    double[] bias = store.named("experts.b_out").tensor().toDoubles();
    for (double[] row : in) {
      Arrays.fill(row, m, D, 0);
    }
    for (int i = m; i < D; i++) {
      Arrays.fill(out[i], 0);
      bias[i] = 0;
    }
    return Loops.expert(
        ExpertForm.GELU, in, out, store.named("experts.b_in").tensor().toDoubles(), bias, x);
  }

  @Test
  void theLayerEqualsTheAlgorithmSequenceBySequence() {
    for (double budget : new double[] {0.2, 0.4, 0.7}) {
      MoeLayer layer = layer(Map.of("budget", budget, "alpha", 0.25));
      double[][] x = rows(normal(60, D));
      x[7] = x[3];
      x[9] = x[3];
      double[] c = ((MoneRouter) layer.router()).capacities();
      double[][] r = probabilities(x);
      for (Dispatch how : Dispatch.values()) {
        MoeLayer same = twin(Map.of("budget", budget, "alpha", 0.25), how);
        MoeOutput out = same.forward(matrix(x), TokenContext.eval(3, 20));
        int[] experts = chosen(out.routing(), 60);
        double[][] y = rows(out.output());
        for (int s = 0; s < 3; s++) {
          int[] chosen = preferred(r, 20 * s, 20, c);
          for (int t = 0; t < 20; t++) {
            int at = 20 * s + t;
            assertThat(experts[at]).isEqualTo(chosen[t]);
            double[] f = expert(chosen[t], x[at]);
            for (int i = 0; i < D; i++) {
              double expected = (0.25 * r[at][chosen[t]] + 1) * f[i];
              assertThat(y[at][i]).isCloseTo(expected, within(1e-12));
            }
            for (int i = D >> (E - 1 - chosen[t]); i < D; i++) {
              assertThat(y[at][i]).isZero();
            }
          }
        }
      }
    }
  }

  /** The expert of each token, which is served exactly once. */
  private static int[] chosen(Routing routing, int tokens) {
    int[] expert = new int[tokens];
    Arrays.fill(expert, -1);
    int[][] rows = indices(((ExpertChoice) routing).tokens());
    for (int e = 0; e < rows.length; e++) {
      for (int t : rows[e]) {
        if (t >= 0) {
          assertThat(expert[t]).isEqualTo(-1);
          expert[t] = e;
        }
      }
    }
    assertThat(expert).doesNotContain(-1);
    return expert;
  }

  /** A layer with other settings and the same weights. */
  private MoeLayer twin(Map<String, ?> options, Dispatch how) {
    ParameterStore other = wide(2);
    MoeLayer twin = new MoeLayer(config(E, options).toBuilder().dispatch(how).build(), other);
    for (Parameter p : other.all()) {
      p.tensor().detach().copyInPlace(store.named(p.name()).tensor().detach());
    }
    return twin;
  }

  @Test
  void countsFollowTheSharesAndTheRestGoesToTheSmallest() {
    MoeLayer layer = layer(Map.of());
    double[] costs = BudgetCapacities.costs(E);
    for (int n : new int[] {1, 3, 7, 16, 64, 196}) {
      for (double budget : new double[] {0.15, 0.3, 0.5, 0.9}) {
        MoneRouter router = ((MoneRouter) layer.router()).withBudget(budget);
        double[] c = router.capacities();
        TokenContext context = TokenContext.eval(1, n);
        ExpertChoice plan = router.route(normal(n, D), context);
        double[] served = RoutingStats.of(plan, context).served();
        double width = 0;
        double rest = n;
        for (int e = E - 1; e > 0; e--) {
          assertThat(served[e]).isEqualTo(Math.floor(c[e] * n + 1e-6));
          rest -= served[e];
        }
        assertThat(served[0]).isEqualTo(rest);
        for (int e = 0; e < E; e++) {
          width += served[e] * costs[e] / n;
        }
        assertThat(width).isCloseTo(budget, within((double) E / n));
      }
    }
  }

  @Test
  void anExpertsTokensAreAtLeastAsProbableAsThoseLeftToSmallerOnes() {
    MoeLayer layer = layer(Map.of());
    double[][] x = rows(normal(50, D));
    double[][] r = probabilities(x);
    int[] experts = chosen(layer.router().route(matrix(x), TokenContext.eval(1, 50)), 50);
    for (int e = 1; e < E; e++) {
      double lowest = 1;
      double left = 0;
      for (int t = 0; t < 50; t++) {
        lowest = experts[t] == e ? Math.min(lowest, r[t][e]) : lowest;
        left = experts[t] < e ? Math.max(left, r[t][e]) : left;
      }
      assertThat(lowest).isGreaterThanOrEqualTo(left);
    }
  }

  @Test
  void exactBinarySharesLoseNoToken() {
    MoneRouter router = ((MoneRouter) layer(Map.of()).router()).withCapacities(0.1, 0.2, 0.3, 0.4);
    TokenContext context = TokenContext.eval(1, 10);
    assertThat(RoutingStats.of(router.route(normal(10, D), context), context).served())
        .containsExactly(1, 2, 3, 4);
  }

  @Test
  void theLargestExpertWithoutAlphaIsThePlainNetwork() {
    Tensor x = normal(12, D);
    for (int experts : new int[] {1, E}) {
      store.close();
      MoeLayer layer = new MoeLayer(config(experts, Map.of()), store);
      MoeLayer full =
          experts == 1 ? layer : layer.withRouter(r -> ((MoneRouter) r).withCapacities(0, 0, 0, 1));
      ParameterStore plain = wide(3);
      FeedForward ffn = new FeedForward(FORM, D, H, Role.NON_EXPERT, InitScheme.T5, plain);
      for (Parameter p : plain.all()) {
        p.tensor().detach().copyInPlace(store.named("experts." + p.name()).tensor().detach());
      }
      same(full.forward(x, TokenContext.eval(1, 12)).output(), ffn.forward(x), 0);
    }
  }

  @Test
  void onlyTheUsedSliceLearns() {
    MoeLayer layer =
        layer(Map.of()).withRouter(r -> ((MoneRouter) r).withCapacities(0.5, 0.5, 0, 0));
    layer.forward(normal(12, D), TokenContext.eval(1, 12)).output().square().sum().backward();
    double[][] in = rows(store.named("experts.w_in").tensor().grad().orElseThrow());
    double[][] out = rows(store.named("experts.w_out").tensor().grad().orElseThrow());
    for (double[] row : in) {
      for (int i = 0; i < D; i++) {
        assertThat(row[i] != 0).isEqualTo(i < D / 4);
      }
    }
    for (int i = 0; i < D; i++) {
      assertThat(Arrays.stream(out[i]).anyMatch(g -> g != 0)).isEqualTo(i < D / 4);
    }
  }

  @Test
  void theRouterLearnsOnceAlphaHasMoved() {
    Tensor x = normal(12, D);
    Tensor target = normal(12, D);
    MoeLayer still = layer(Map.of());
    still.forward(x, TokenContext.eval(1, 12)).output().mul(target).sum().backward();
    assertThat(store.named("mone.weight").tensor().grad().orElseThrow().abs().sum().item())
        .isZero();
    assertThat(store.named("mone.alpha").tensor().grad().orElseThrow().item()).isNotZero();
    MoeLayer moved = layer(Map.of("alpha", 0.4));
    for (Parameter p : store.all()) {
      slopes(
          p.name(),
          p.tensor(),
          1e-6,
          () -> moved.forward(x, TokenContext.eval(1, 12)).output().mul(target).sum());
    }
  }

  @Test
  void laterLayersUseTheFirstOnesDecision() {
    for (boolean every : new boolean[] {false, true}) {
      ParameterStore model = wide(5);
      MoeConfig config = config(E, Map.of("routers", every ? "every" : "first"));
      MoeLayer first = new MoeLayer(config, model.under("layers.0"), 0);
      MoeLayer second = new MoeLayer(config, model.under("layers.1"), 1);
      TokenContext context = TokenContext.eval(2, 10);
      MoeOutput a = first.forward(normal(20, D), context);
      MoeOutput b = second.forward(normal(20, D), context);
      assertThat(Arrays.equals(choices(b), choices(a))).isEqualTo(!every);
      assertThat(model.all().stream().filter(p -> p.role() instanceof Role.Gate))
          .hasSize(every ? 5 : 3);
      // A second pass in the same context decides anew, and a later layer alone decides itself.
      Tensor other = normal(20, D);
      assertThat(choices(first.forward(other, context)))
          .isNotEqualTo(choices(a))
          .isEqualTo(choices(first.forward(other, TokenContext.eval(2, 10))));
      assertThat(choices(second.forward(other, TokenContext.eval(2, 10)))).hasSize(20);
      model.close();
    }
  }

  private static int[] choices(MoeOutput out) {
    return chosen(out.routing(), (int) (out.output().numel() / D));
  }

  @Test
  void anotherBudgetIsTheSameWeights() {
    MoeLayer layer = layer(Map.of("budget", 0.3));
    Tensor x = normal(40, D);
    TokenContext context = TokenContext.eval(1, 40);
    MoeOutput narrow = layer.forward(x, context);
    MoeOutput wide = layer.withRouter(r -> ((MoneRouter) r).withBudget(0.7)).forward(x, context);
    assertThat(choices(wide)).isNotEqualTo(choices(narrow));
    same(
        wide.output(),
        twin(Map.of("budget", 0.7), Dispatch.ONE_HOT).forward(x, context).output(),
        1e-12);
  }

  @Test
  void adaptiveTrainingDrawsABudgetPerPass() {
    MoeLayer layer = layer(Map.of("adaptive", true));
    Tensor x = normal(100, D);
    Set<Double> full = new HashSet<>();
    for (int seed = 0; seed < 30; seed++) {
      TokenContext training = TokenContext.train(1, 100, new RandomSource(seed));
      full.add(layer.forward(x, training).stats().served()[E - 1]);
    }
    assertThat(full).hasSizeGreaterThan(5);
    TokenContext eval = TokenContext.eval(1, 100);
    assertThat(layer.forward(x, eval).stats().served()[E - 1])
        .isEqualTo(Math.floor(100 * ((MoneRouter) layer.router()).capacities()[E - 1]));
  }

  @Test
  void paddingIsAsIfItWereNotThere() {
    MoeLayer layer = layer(Map.of());
    double[][] x = rows(normal(12, D));
    byte[] real = {1, 1, 1, 1, 1, 1, 1, 1, 0, 1, 1, 0};
    double[][] alone = new double[10][];
    System.arraycopy(x, 0, alone, 0, 8);
    System.arraycopy(x, 9, alone, 8, 2);
    TokenContext padded = TokenContext.eval(1, 12).withPadding(Tensor.of(real, 12).to(DType.BOOL));
    double[][] y = rows(layer.forward(matrix(x), padded).output());
    double[][] z = rows(layer.forward(matrix(alone), TokenContext.eval(1, 10)).output());
    for (int t = 0; t < 8; t++) {
      assertThat(y[t]).containsExactly(z[t], within(1e-12));
    }
    assertThat(y[9]).containsExactly(z[8], within(1e-12));
    assertThat(y[8]).containsOnly(0);
  }

  @Test
  void costsAreThoseOfTheBudget() {
    MoeConfig config =
        MoeConfig.builder(768, 3072, 4, 1)
            .router("mone", Map.of("budget", 0.3))
            .form(ExpertForm.GELU)
            .build();
    long full = 2L * 768 * 3072;
    assertThat(config.parameters()).isEqualTo(full + 4 * 769 + 1);
    assertThat(config.flopsPerToken() - 2 * 4 * 768).isEqualTo(Math.round(0.3 * 2 * full));
  }

  @Test
  void impossibleSettingsAreRefused() {
    refused(
        config(6, Map.of()), "6 nested experts need a width that can be halved 5 times, not 16");
    refused(config(4, Map.of("budget", 0.125)), "more than 0.125 and less than 1");
    refused(config(4, Map.of("beta", -1)), "beta -1.0");
    MoeConfig limited =
        config(4, Map.of()).toBuilder()
            .capacity(Capacity.megablocks(1))
            .dispatch(Dispatch.BUFFERS)
            .build();
    assertThatThrownBy(() -> Validity.check(limited, Validity.Use.ENCODER, false))
        .hasMessageContaining("each of its experts takes a fixed number of tokens");
    MoneRouter router = (MoneRouter) layer(Map.of()).router();
    for (double[] c : new double[][] {{1}, {0.5, 0.5, 0.5, 0.5}, {1.5, -0.5, 0, 0}}) {
      assertThatThrownBy(() -> router.withCapacities(c))
          .isInstanceOf(MoeException.class)
          .hasMessageContaining("give 4 of at least 0 with the sum 1");
    }
    assertThatThrownBy(
            () -> Validity.check(config(4, Map.of()), Validity.Use.CAUSAL_TRAINING, false))
        .hasMessageContaining("not for causal training");
  }

  private static void refused(MoeConfig config, String message) {
    ParameterStore store = wide(1);
    assertThatThrownBy(() -> new MoeLayer(config, store))
        .isInstanceOf(MoeException.class)
        .hasMessageContaining(message)
        .hasMessageNotContaining("\n");
    store.close();
  }
}

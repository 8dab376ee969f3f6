package org.moe4j;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.Device;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.RandomSource;
import org.moe4j.tensor.Scope;
import org.moe4j.tensor.Tensor;

/** Loss-free balancing (S56). */
class BiasControllerTest extends InScope {
  private static final int D = 6;
  private static final int E = 4;
  private static final String BIAS = "gate.e_score_correction_bias";

  private static MoeConfig config(Map<String, ?> options) {
    return MoeConfig.builder(D, 4, E, 2).router("loss-free", options).init(InitScheme.T5).build();
  }

  private static double[] moved(Map<String, ?> options, long... loads) {
    ParameterStore store = wide(1);
    MoeLayer layer = new MoeLayer(config(options), store);
    double[] before = store.named(BIAS).tensor().toDoubles();
    layer.controllers().forEach(c -> c.update(Counted.loads(loads)));
    double[] after = store.named(BIAS).tensor().toDoubles();
    for (int e = 0; e < E; e++) {
      after[e] -= before[e];
    }
    return after;
  }

  @Test
  void theSignRuleMovesEachBiasByTheRate() {
    assertThat(moved(Map.of(), 10, 0, 5, 5))
        .containsExactly(new double[] {-1e-3, 1e-3, 0, 0}, within(1e-10));
    assertThat(moved(Map.of("bias-rate", 0.01), 6, 2, 2, 2))
        .containsExactly(new double[] {-0.01, 0.01, 0.01, 0.01}, within(1e-9));
  }

  @Test
  void theVariantsOfTheRule() {
    Map<String, Object> options = new HashMap<>(Map.of("bias-update", "proportional"));
    assertThat(moved(options, 10, 0, 5, 5))
        .containsExactly(new double[] {-5e-3, 5e-3, 0, 0}, within(1e-9));
    options.put("bias-update", "relative");
    assertThat(moved(options, 10, 0, 5, 5))
        .containsExactly(new double[] {-1e-3, 1e-3, 0, 0}, within(1e-9));
    assertThat(moved(options, 20, 0, 10, 10))
        .containsExactly(new double[] {-1e-3, 1e-3, 0, 0}, within(1e-9));
    assertThat(moved(Map.of("bias-centred", true), 6, 2, 2, 2))
        .containsExactly(new double[] {-1.5e-3, 5e-4, 5e-4, 5e-4}, within(1e-9));
    assertThat(moved(Map.of("bias-form", "multiplicative"), 10, 0, 5, 5))
        .containsExactly(new double[] {-1e-3, 1e-3, 0, 0}, within(1e-7));
    assertThat(moved(Map.of("bias-rate", 0), 10, 0, 5, 5)).containsOnly(0);
    assertThat(moved(Map.of(), 0, 0, 0, 0)).containsOnly(0);
  }

  @Test
  void countsOfSeveralBatchesOrRanksAreOneStep() {
    RoutingStats sum = Counted.loads(9, 1, 4, 2).plus(Counted.loads(1, 2, 2, 3));
    ParameterStore parts = wide(1);
    new MoeLayer(config(Map.of()), parts).controllers().forEach(c -> c.update(sum));
    ParameterStore whole = wide(1);
    new MoeLayer(config(Map.of()), whole)
        .controllers()
        .forEach(c -> c.update(Counted.loads(10, 3, 6, 5)));
    same(parts.named(BIAS).tensor(), whole.named(BIAS).tensor(), 0);
  }

  @Test
  void withoutABiasItIsPlainSigmoidTopK() {
    ParameterStore store = wide(3);
    Router router = new MoeLayer(config(Map.of()), store).router();
    Tensor x = normal(9, D);
    TokenChoice r = (TokenChoice) router.route(x, TokenContext.eval(1, 9));
    double[][] w = rows(store.named("gate.weight").tensor());
    for (int t = 0; t < 9; t++) {
      double[] z = Loops.matvec(w, rows(x)[t]);
      int[] top = Loops.top(z, 2);
      assertThat(indices(r.experts())[t]).containsExactly(top);
      assertThat(rows(r.weights())[t][0]).isCloseTo(Loops.sigmoid(z[top[0]]), within(1e-12));
      assertThat(rows(r.weights())[t][1]).isCloseTo(Loops.sigmoid(z[top[1]]), within(1e-12));
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"additive", "multiplicative"})
  void aBiasThatChangesNoChoiceChangesNothing(String form) {
    ParameterStore store = wide(3);
    MoeLayer layer = new MoeLayer(config(Map.of("bias-form", form)), store);
    Tensor x = normal(9, D);
    double[] outputs = layer.forward(x, train(9)).output().toDoubles();
    double[] gradient = gateGradient(layer, store, x);
    store.named(BIAS).tensor().detach().addInPlace(1e-6);
    assertThat(layer.forward(x, train(9)).output().toDoubles()).isEqualTo(outputs);
    assertThat(gateGradient(layer, store, x)).isEqualTo(gradient);
  }

  private static TokenContext train(long tokens) {
    return TokenContext.train(1, tokens, new RandomSource(1));
  }

  private static double[] gateGradient(MoeLayer layer, ParameterStore store, Tensor x) {
    Tensor w = store.named("gate.weight").tensor();
    w.clearGrad();
    layer.forward(x, train(9)).output().square().sum().backward();
    return w.grad().orElseThrow().toDoubles();
  }

  @Test
  void aLargeBiasDecidesTheChoiceButNotTheWeight() {
    ParameterStore store = wide(3);
    Router router = new MoeLayer(config(Map.of()), store).router();
    store.named(BIAS).tensor().copyInPlace(Tensor.of(new double[] {0, 0, 0, 5}));
    Tensor x = normal(9, D);
    TokenChoice r = (TokenChoice) router.route(x, TokenContext.eval(1, 9));
    double[][] w = rows(store.named("gate.weight").tensor());
    for (int t = 0; t < 9; t++) {
      assertThat(indices(r.experts())[t][0]).isEqualTo(3);
      assertThat(rows(r.weights())[t][0])
          .isCloseTo(Loops.sigmoid(Loops.matvec(w, rows(x)[t])[3]), within(1e-12));
    }
  }

  @Test
  void theBiasIsF32StateThatOnlyTheControllerMoves() {
    ParameterStore store = new ParameterStore(new RandomSource(1), Device.CPU, DType.BF16);
    MoeLayer layer = new MoeLayer(config(Map.of("dtype", "bf16")), store, 7);
    Parameter bias = store.named(BIAS);
    assertThat(bias.role()).isEqualTo(new Role.State(7));
    assertThat(bias.tensor().dtype()).isEqualTo(DType.F32);
    assertThat(bias.isFrozen()).isTrue();
    assertThat(store.count(p -> true)).isEqualTo(layer.config().parameters());
    layer.forward(normal(9, D).to(DType.BF16), train(9));
    layer.forward(normal(9, D).to(DType.BF16), TokenContext.eval(1, 9));
    assertThat(bias.tensor().toDoubles()).containsOnly(0);
    // In BF16 a step of 0.001 would be lost beside 1.
    bias.tensor().fillInPlace(1);
    layer.controllers().forEach(c -> c.update(Counted.loads(10, 0, 5, 5)));
    assertThat(bias.tensor().toDoubles())
        .containsExactly(new double[] {0.999, 1.001, 1, 1}, within(1e-6));
  }

  @Test
  void aHalfScoreIsComparedWithItsBiasInF32() {
    ParameterStore store = new ParameterStore(new RandomSource(1), Device.CPU, DType.BF16);
    Router router = new MoeLayer(config(Map.of("dtype", "bf16")), store).router();
    store.named("gate.weight").tensor().detach().fillInPlace(0);
    store.named(BIAS).tensor().copyInPlace(Tensor.of(new double[] {0, 1e-3, 0, 2e-3}));
    TokenChoice r =
        (TokenChoice) router.route(normal(1, D).to(DType.BF16), TokenContext.eval(1, 1));
    assertThat(r.experts().toLongs()).containsExactly(3, 1);
  }

  /** Fixed skewed scores: the bias alone must even out the loads. */
  @Test
  void loadsBecomeEvenWithinTheGapOverTheRate() {
    int experts = 16;
    int tokens = 2000;
    double rate = 1e-3;
    MoeConfig config =
        MoeConfig.builder(experts, 4, experts, 2)
            .router("loss-free", Map.of("bias-rate", rate))
            .build();
    ParameterStore store = wide(1);
    MoeLayer layer = new MoeLayer(config, store);
    double[][] eye = new double[experts][experts];
    double[] skew = new double[experts];
    for (int e = 0; e < experts; e++) {
      eye[e][e] = 1;
      skew[e] = 0.12 * e;
    }
    store.named("gate.weight").tensor().detach().copyInPlace(matrix(eye));
    Tensor x = normal(tokens, experts).add(Tensor.of(skew));
    TokenContext context = TokenContext.eval(1, tokens);
    double first = 0;
    double last = 0;
    double[] before = {};
    // sigmoid(z + 1.8) - sigmoid(z) is at most 0.43, and a step is 0.001.
    for (int step = 0; step < 430; step++) {
      try (Scope scope = Scope.open()) {
        RoutingStats stats = RoutingStats.of(layer.router().route(x, context), context);
        first = step == 0 ? stats.maxViolation() : first;
        last = stats.maxViolation();
        before = store.named(BIAS).tensor().toDoubles();
        layer.controllers().forEach(c -> c.update(stats));
      }
    }
    assertThat(first).isGreaterThan(1);
    assertThat(last).isLessThan(0.1);
    double[] after = store.named(BIAS).tensor().toDoubles();
    for (int e = 0; e < experts; e++) {
      double step = Math.abs(after[e] - before[e]);
      assertThat(step < 1e-9 ? rate : step).isCloseTo(rate, within(1e-7));
    }
  }

  @Test
  void maximalViolation() {
    assertThat(Counted.loads(5, 5, 5, 5).maxViolation()).isZero();
    assertThat(Counted.loads(8, 0, 0, 0).maxViolation()).isEqualTo(E - 1);
    assertThat(Counted.loads(3, 1, 0, 0).maxViolation()).isEqualTo(2);
    assertThat(Counted.loads(8, 0, 0, 0).plus(Counted.loads(0, 8, 8, 8)).maxViolation()).isZero();
  }

  @Test
  void itGoesWithEveryUseDispatcherCapacityAndLoss() {
    MoeConfig plain = config(Map.of());
    for (Validity.Use use : Validity.Use.values()) {
      assertThat(Validity.check(plain, use, false)).isEmpty();
      MoeConfig loss =
          plain.toBuilder().balance(FractionBalance.deepSeekExpert(true), 1e-4).build();
      assertThat(Validity.check(loss, use, false)).isEmpty();
    }
    MoeConfig capacity =
        plain.toBuilder().capacity(Capacity.megablocks(1.25)).dispatch(Dispatch.BUFFERS).build();
    assertThat(Validity.check(capacity, Validity.Use.ENCODER, false)).isEmpty();
  }

  private static List<String> warnings(MoeConfig config) {
    return Validity.check(config, Validity.Use.CAUSAL_TRAINING, false);
  }

  @Test
  void whatIsDoubtfulIsSaidOnce() {
    assertThat(warnings(config(Map.of("score", "softmax"))))
        .singleElement()
        .asString()
        .contains("score \"softmax\" and bias-update \"sign\"");
    assertThat(warnings(config(Map.of("score", "softmax", "bias-update", "relative")))).isEmpty();
    assertThat(warnings(config(Map.of("bias-rate", 0))))
        .singleElement()
        .asString()
        .contains("without a balance loss");
    assertThat(warnings(config(Map.of("selection-bias", false)))).hasSize(1);
    assertThat(warnings(config(Map.of()).toBuilder().forceBalance(true).build()))
        .singleElement()
        .asString()
        .contains("forced balance");
  }

  @Test
  void badOptionsAreRefused() {
    assertThatThrownBy(() -> new MoeLayer(config(Map.of("bias-rate", -1)), wide(1)))
        .isInstanceOf(MoeException.class)
        .hasMessageContaining("bias-rate -1.0");
    assertThatThrownBy(() -> new MoeLayer(config(Map.of("bias-update", "big")), wide(1)))
        .hasMessageContaining("sign, proportional, relative");
    Map<String, Object> single = Map.of("groups", 4, "kept-groups", 2, "group-score", "top2-sum");
    assertThatThrownBy(() -> new MoeLayer(config(single), wide(1)))
        .hasMessageContaining("groups of 1 expert have no two best");
  }

  @Test
  void negativeBiasesAndTiesInGroupsAreAsTheLoopHasThem() {
    ParameterStore store = wide(4);
    Map<String, Object> options = Map.of("groups", 2, "kept-groups", 1, "group-score", "top2-sum");
    Router router = new MoeLayer(config(options), store).router();
    store.named("gate.weight").tensor().detach().fillInPlace(0);
    store.named(BIAS).tensor().copyInPlace(Tensor.of(new double[] {-3, -1, -2, -2}));
    TokenChoice r = (TokenChoice) router.route(normal(1, D), TokenContext.eval(1, 1));
    assertThat(r.experts().toLongs()).containsExactly(1, 0); // groups tie: the lower one
    store.named(BIAS).tensor().copyInPlace(Tensor.of(new double[] {-4, -1, -2, -2}));
    r = (TokenChoice) router.route(normal(1, D), TokenContext.eval(1, 1));
    assertThat(r.experts().toLongs()).containsExactly(2, 3); // experts tie: the lower one
  }
}

package org.moe4j;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.Arrays;
import java.util.function.IntToDoubleFunction;
import org.junit.jupiter.api.Test;
import org.moe4j.ReinforcedRouter.Action;
import org.moe4j.ReinforcedRouter.Coefficients;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.RandomSource;
import org.moe4j.tensor.Scope;
import org.moe4j.tensor.Tensor;

/** RL-R (S17): the policy, its nucleus and its losses. */
class ReinforcedRouterTest extends InScope {
  private static final Coefficients POLICY_ALONE = new Coefficients(1, 0, 0);

  private static ReinforcedRouter router(
      int width, int experts, Action action, double topP, Coefficients weigh, ParameterStore s) {
    return new ReinforcedRouter(width, experts, action, topP, weigh, Init.normal(1), s, 0);
  }

  /** A bandit: one-dimensional inputs of 1, so that the weights are the logits. */
  private static ReinforcedRouter bandit(
      double[] logits, double topP, Coefficients weigh, ParameterStore store) {
    ReinforcedRouter router = router(1, logits.length, Action.SAMPLE, topP, weigh, store);
    Tensor w = store.named("gate.weight").tensor().detach();
    w.copyInPlace(Tensor.of(logits, logits.length, 1));
    return router;
  }

  private static Tensor ones(int tokens) {
    double[] one = new double[tokens];
    Arrays.fill(one, 1);
    return Tensor.of(one, tokens, 1);
  }

  private static TokenContext train(long tokens, long seed) {
    return TokenContext.train(1, tokens, new RandomSource(seed));
  }

  private static Reward reward(double... values) {
    Tensor r = Tensor.of(values, values.length);
    return new Reward(r, r.eq(r));
  }

  /** The reward of each token by the expert it has. */
  private static Reward reward(TokenChoice plan, IntToDoubleFunction of) {
    return reward(
        Arrays.stream(plan.choices().toLongs())
            .mapToDouble(e -> of.applyAsDouble((int) e))
            .toArray());
  }

  @Test
  void theExpertIsDrawnFromTheNucleus() {
    double[] p = {0.05, 0.5, 0.07, 0.38};
    double[] logits = Arrays.stream(p).map(Math::log).toArray();
    int draws = 40_000;
    double[][] expected = {p, {0, 0.5 / 0.88, 0, 0.38 / 0.88}, {0, 1, 0, 0}, {0, 1, 0, 0}};
    double[] topP = {1, 0.8, 0.5, 1e-3};
    for (int i = 0; i < topP.length; i++) {
      TokenContext context = train(draws, 4 + i);
      TokenChoice r = bandit(logits, topP[i], POLICY_ALONE, wide(1)).route(ones(draws), context);
      double[] load = RoutingStats.of(r, context).asked();
      for (int e = 0; e < 4; e++) {
        double q = expected[i][e];
        assertThat(load[e] / draws).isCloseTo(q, within(4 * Math.sqrt(q * (1 - q) / draws)));
      }
      // Weighed by the policy itself, not by its nucleus.
      int first = indices(r.experts())[0][0];
      assertThat(rows(r.weights())[0][0]).isCloseTo(p[first], within(1e-12));
    }
  }

  @Test
  void evaluationAndTheGreedyActionTakeTheMostProbable() {
    Tensor x = normal(50, 4);
    for (Action action : Action.values()) {
      ParameterStore store = wide(1);
      ReinforcedRouter router = router(4, 6, action, 0.9, POLICY_ALONE, store);
      long[] best =
          Selection.top(x.mm(store.named("gate.weight").tensor().detach().t()), 1).toLongs();
      assertThat(router.route(x, TokenContext.eval(1, 50)).experts().toLongs())
          .containsExactly(best);
      long[] trained = router.route(x, train(50, 3)).experts().toLongs();
      if (action == Action.GREEDY) {
        assertThat(trained).containsExactly(best);
      } else {
        assertThat(trained).isNotEqualTo(best);
      }
    }
  }

  @Test
  void aConstantRewardTeachesNothingOnAverage() {
    int draws = 100_000;
    double[] p = {0.1, 0.2, 0.3, 0.4};
    double[] logits = Arrays.stream(p).map(Math::log).toArray();
    for (double topP : new double[] {1, 0.85}) {
      ParameterStore store = wide(1);
      TokenContext context = train(draws, 5);
      TokenChoice plan = bandit(logits, topP, POLICY_ALONE, store).route(ones(draws), context);
      context.carried().rewarded(reward(plan, e -> 7)).backward();
      double[] gradient = store.named("gate.weight").tensor().grad().orElseThrow().toDoubles();
      for (double g : gradient) {
        assertThat(g).isCloseTo(0, within(3 * 7 * Math.sqrt(0.25 / draws)));
      }
    }
  }

  @Test
  void thePolicyGradientIsTheSlopeOfTheExpectedReward() {
    int draws = 200_000;
    double[] logits = {0.3, -0.4, 0.9};
    double[] gain = {1, 3, -2};
    ParameterStore store = wide(1);
    TokenContext context = train(draws, 6);
    TokenChoice plan = bandit(logits, 1, POLICY_ALONE, store).route(ones(draws), context);
    context.carried().rewarded(reward(plan, e -> gain[e])).backward();
    double[] gradient = store.named("gate.weight").tensor().grad().orElseThrow().toDoubles();
    for (int e = 0; e < 3; e++) {
      double step = 1e-6;
      double[] up = logits.clone();
      double[] down = logits.clone();
      up[e] += step;
      down[e] -= step;
      double slope = (expected(up, gain) - expected(down, gain)) / (2 * step);
      assertThat(-gradient[e]).isCloseTo(slope, within(3 * 3 / Math.sqrt(draws)));
    }
  }

  private static double expected(double[] logits, double[] gain) {
    double[] p = Loops.softmax(logits);
    double sum = 0;
    for (int e = 0; e < p.length; e++) {
      sum += p[e] * gain[e];
    }
    return sum;
  }

  @Test
  void aBanditIsSolvedWithinFiveHundredSteps() {
    ParameterStore store = wide(1);
    ReinforcedRouter router = bandit(new double[5], 1, new Coefficients(1, 0.5, 0), store);
    for (int step = 0; step < 500; step++) {
      try (Scope scope = Scope.open()) {
        TokenContext context = train(8, step);
        TokenChoice plan = router.route(ones(8), context);
        context.carried().rewarded(reward(plan, e -> e == 3 ? 1 : 0)).backward();
        for (Parameter p : store.all()) {
          p.tensor().grad().ifPresent(g -> p.tensor().detach().addInPlace(g, -0.5));
          p.tensor().clearGrad();
        }
      }
    }
    double[] p = Loops.softmax(store.named("gate.weight").tensor().detach().toDoubles());
    assertThat(p[3]).isGreaterThan(0.9);
  }

  @Test
  void lossesAreTheFormulasAndCountWhatIsCounted() {
    ParameterStore store = wide(1);
    Coefficients weigh = new Coefficients(0.3, 0.7, 0.2);
    ReinforcedRouter router = router(4, 6, Action.SAMPLE, 0.7, weigh, store);
    Tensor w = store.named("gate.value").tensor().detach();
    w.copyInPlace(normal(1, 4));
    byte[] real = {1, 1, 0, 1, 1, 1, 1, 1};
    byte[] scored = {1, 0, 1, 1, 1, 1, 1, 0};
    double[] r = {-1, Double.NaN, -3, -0.5, -2, -1.5, -4, Double.NaN};
    TokenContext context = train(8, 3).withPadding(Tensor.of(real).to(DType.BOOL));
    Tensor x = normal(8, 4);
    TokenChoice plan = router.route(x, context);
    double loss =
        context
            .carried()
            .rewarded(new Reward(Tensor.of(r, 8), Tensor.of(scored).to(DType.BOOL)))
            .item();
    double[][] gate = rows(store.named("gate.weight").tensor().detach());
    double expected = 0;
    double entropy = 0;
    for (int t = 0; t < 8; t++) {
      double[] p = Loops.softmax(Loops.matvec(gate, rows(x)[t]));
      int[] order = Loops.top(p, 6);
      double nucleus = 0;
      for (int j = 0; j < 6 && nucleus < 0.7; j++) {
        nucleus += p[order[j]];
      }
      entropy -= real[t] == 0 ? 0 : Arrays.stream(p).map(v -> v * Math.log(v)).sum() / 7;
      if (real[t] != 0 && scored[t] != 0) {
        double v = Loops.matvec(rows(w), rows(x)[t])[0];
        double q = p[indices(plan.experts())[t][0]] / nucleus;
        expected += (-0.3 * (r[t] - v) * Math.log(q) + 0.7 * (v - r[t]) * (v - r[t])) / 5;
      }
    }
    assertThat(loss).isCloseTo(expected, within(1e-10));
    assertThat(plan.evidence().losses().get("policy-entropy").item())
        .isCloseTo(-0.2 * entropy, within(1e-10));
    assertThat(context.carried().awaitsReward()).isFalse();
  }

  @Test
  void gradientsAreTheSlopes() {
    Tensor x = normal(8, 4).requiresGrad(true);
    double[] r = normal(8).toDoubles();
    for (Coefficients weigh : new Coefficients[] {POLICY_ALONE, new Coefficients(0, 1, 0)}) {
      ParameterStore store = wide(1);
      ReinforcedRouter router = router(4, 6, Action.SAMPLE, 0.8, weigh, store);
      store.named("gate.value").tensor().detach().copyInPlace(normal(1, 4));
      // The baseline is a constant of the policy's loss.
      for (String name :
          weigh.value() == 0
              ? new String[] {"gate.weight"}
              : new String[] {"gate.value", "gate.value_bias"}) {
        slopes(
            name,
            store.named(name).tensor(),
            1e-6,
            () -> {
              TokenContext context = train(8, 3);
              router.route(x, context);
              return context.carried().rewarded(reward(r));
            });
      }
    }
  }

  @Test
  void nothingWaitsOutsideTraining() {
    ReinforcedRouter router = router(4, 6, Action.SAMPLE, 0.9, POLICY_ALONE, wide(1));
    TokenContext eval = TokenContext.eval(1, 3);
    router.route(normal(3, 4), eval);
    assertThat(eval.carried().awaitsReward()).isFalse();
    assertThatThrownBy(() -> eval.carried().rewarded(reward(1, 2, 3)))
        .isInstanceOf(MoeException.class);
  }

  @Test
  void impossibleNumbersAreRefused() {
    assertThatThrownBy(() -> router(4, 6, Action.SAMPLE, 0, POLICY_ALONE, wide(1)))
        .isInstanceOf(MoeException.class)
        .hasMessageContaining("top-p 0.0");
    assertThatThrownBy(() -> new Coefficients(-1, 0, 0)).hasMessageContaining("policy -1.0");
  }
}

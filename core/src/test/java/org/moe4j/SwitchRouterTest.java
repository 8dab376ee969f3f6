package org.moe4j;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.Arrays;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.Device;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.RandomSource;
import org.moe4j.tensor.Tensor;

/** What S06 says of the top-1 gate and its ways to explore, and S08 of FastMoE's form. */
class SwitchRouterTest extends InScope {
  private static final int D = 6;
  private static final int E = 4;

  private final ParameterStore store = wide(1);

  private Router router(String name, Map<String, ?> options) {
    MoeConfig config =
        MoeConfig.builder(D, 3, E, 1).router(name, options).init(InitScheme.T5).build();
    return new MoeLayer(config, store, 0).router();
  }

  private double[][] weight() {
    return rows(store.named("gate.weight").tensor().detach());
  }

  private static TokenContext train(long tokens, long seed) {
    return TokenContext.train(1, tokens, new RandomSource(seed));
  }

  private static void isTopOneOf(TokenChoice r, double[][] logits) {
    for (int t = 0; t < logits.length; t++) {
      double[] p = Loops.softmax(logits[t]);
      int best = Loops.top(p, 1)[0];
      assertThat(indices(r.experts())[t]).containsExactly(best);
      assertThat(rows(r.weights())[t][0]).isCloseTo(p[best], within(1e-12));
    }
  }

  private double[][] logits(double[][] x) {
    double[][] z = new double[x.length][];
    for (int t = 0; t < x.length; t++) {
      z[t] = Loops.matvec(weight(), x[t]);
    }
    return z;
  }

  @Test
  void jitterMultipliesTheRoutersCopy() {
    Router router = router("switch", Map.of("jitter", 0.3));
    Tensor x = normal(40, D);
    double[][] noise = rows(new RandomSource(5).uniform(0.7, 1.3, DType.F32, 40, D));
    double[][] own = rows(x);
    for (int t = 0; t < 40; t++) {
      for (int i = 0; i < D; i++) {
        own[t][i] *= noise[t][i];
      }
    }
    isTopOneOf((TokenChoice) router.route(x, train(40, 5)), logits(own));
  }

  @Test
  void inputDropoutZeroesElementsOfTheRoutersCopy() {
    Router router = router("switch", Map.of("exploration", "input-dropout", "dropout", 0.4));
    Tensor x = normal(40, D);
    double[][] u = rows(new RandomSource(5).uniform(40, D));
    double[][] own = rows(x);
    int zeroed = 0;
    for (int t = 0; t < 40; t++) {
      for (int i = 0; i < D; i++) {
        zeroed += u[t][i] < 0.4f ? 1 : 0;
        own[t][i] = u[t][i] < 0.4f ? 0 : own[t][i] / 0.6;
      }
    }
    assertThat(zeroed).isBetween(60, 130);
    isTopOneOf((TokenChoice) router.route(x, train(40, 5)), logits(own));
  }

  @Test
  void argmaxDrawsNothing() {
    Router router = router("switch", Map.of("exploration", "argmax"));
    Tensor x = normal(40, D);
    isTopOneOf((TokenChoice) router.route(x, TokenContext.of(Phase.TRAIN, 1, 40)), logits(rows(x)));
  }

  @Test
  void samplingFollowsTheSoftmaxAndWeighsByIt() {
    Router router = router("switch", Map.of("exploration", "sample"));
    int draws = 20_000;
    Tensor one = normal(1, D);
    TokenChoice r = (TokenChoice) router.route(one.expand(draws, D).contiguous(), train(draws, 5));
    double[] p = Loops.softmax(logits(rows(one))[0]);
    int[] count = new int[E];
    double[][] weights = rows(r.weights());
    int[][] experts = indices(r.experts());
    for (int t = 0; t < draws; t++) {
      count[experts[t][0]]++;
      assertThat(weights[t][0]).isCloseTo(p[experts[t][0]], within(1e-12));
    }
    for (int e = 0; e < E; e++) {
      assertThat((double) count[e] / draws)
          .isCloseTo(p[e], within(4 * Math.sqrt(p[e] * (1 - p[e]) / draws)));
    }
  }

  @Test
  void evaluationExploresNothing() {
    Tensor x = normal(40, D);
    for (String how : new String[] {"argmax", "sample", "input-dropout", "input-jitter"}) {
      Router router = router("switch", Map.of("exploration", how));
      isTopOneOf((TokenChoice) router.route(x, TokenContext.eval(1, 40)), logits(rows(x)));
      store.close();
    }
  }

  @Test
  void theTaskAloneReachesTheGate() {
    Router router = router("switch", Map.of());
    Tensor x = normal(10, D);
    Tensor task = normal(10, 1);
    Tensor leaf = store.named("gate.weight").tensor();
    slopes(
        "gate.weight",
        leaf,
        1e-6,
        () -> ((TokenChoice) router.route(x, train(10, 5))).weights().mul(task).sum());
    ((TokenChoice) router.route(x, train(10, 5))).weights().mul(task).sum().backward();
    assertThat(leaf.grad().orElseThrow().abs().sum().item()).isPositive();
  }

  @Test
  void fastMoeAddsItsNoiseToTheLogits() {
    Router router = router("fastmoe-switch", Map.of("jitter", 0.5));
    store.named("gate.bias").tensor().detach().copyInPlace(normal(E));
    double[] bias = store.named("gate.bias").tensor().toDoubles();
    Tensor x = normal(40, D);
    double[][] noise = rows(new RandomSource(5).uniform(0.5, 1.5, DType.F32, 40, E));
    double[][] z = logits(rows(x));
    double[][] noisy = new double[40][E];
    for (int t = 0; t < 40; t++) {
      for (int e = 0; e < E; e++) {
        z[t][e] += bias[e];
        noisy[t][e] = z[t][e] + noise[t][e];
      }
    }
    isTopOneOf((TokenChoice) router.route(x, train(40, 5)), noisy);
    isTopOneOf((TokenChoice) router.route(x, TokenContext.eval(1, 40)), z);
  }

  @Test
  void aRouterInBf16ChoosesOtherExpertsOftenAndInF32HardlyEver() {
    int tokens = 20_000;
    int width = 32;
    int experts = 64;
    Tensor x = normal(tokens, width).to(DType.F32).to(DType.F64);
    Tensor w = random.normal(0, 0.5, DType.F32, experts, width);
    int[][] choices = new int[3][];
    DType[] types = {DType.F64, DType.F32, DType.BF16};
    for (int i = 0; i < 3; i++) {
      ParameterStore own =
          new ParameterStore(new RandomSource(1), Device.CPU, i == 0 ? DType.F64 : DType.F32);
      Gating gating = Gating.SWITCH.with(types[i]);
      LinearRouter linear =
          new LinearRouter(gating, width, experts, 1, false, 0, Init.zeros(), own, 0);
      own.named("gate.weight").tensor().detach().copyInPlace(w.to(i == 0 ? DType.F64 : DType.F32));
      SwitchRouter router = new SwitchRouter(linear, SwitchRouter.Exploration.INPUT_JITTER, 0.01);
      Tensor input = i == 0 ? x : x.to(DType.F32);
      long[] chosen = router.route(input, TokenContext.eval(1, tokens)).experts().toLongs();
      choices[i] = Arrays.stream(chosen).mapToInt(Math::toIntExact).toArray();
    }
    assertThat(different(choices[0], choices[1])).isLessThan(1e-4);
    assertThat(different(choices[0], choices[2])).isGreaterThan(5e-3);
  }

  private static double different(int[] a, int[] b) {
    int n = 0;
    for (int i = 0; i < a.length; i++) {
      n += a[i] == b[i] ? 0 : 1;
    }
    return (double) n / a.length;
  }

  @Test
  void impossibleSettingsAreRefused() {
    assertThatThrownBy(() -> router("switch", Map.of("jitter", 1.5)))
        .isInstanceOf(MoeException.class)
        .hasMessageContaining("router jitter or dropout 1.5");
    store.close();
    assertThatThrownBy(() -> router("switch", Map.of("exploration", "gamble")))
        .hasMessageContaining("exploration is \"gamble\"");
    store.close();
    assertThatThrownBy(
            () -> router("switch", Map.of("exploration", "sample", "selection-bias", true)))
        .hasMessageContaining("without selection bias");
  }
}

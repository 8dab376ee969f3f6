package org.moe4j;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.nio.file.Path;
import java.util.Arrays;
import java.util.function.Function;
import java.util.function.ToDoubleFunction;
import org.junit.jupiter.api.Test;
import org.moe4j.SparseMixerRouter.Estimator;
import org.moe4j.SparseMixerRouter.Mask;
import org.moe4j.tensor.Device;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.RandomSource;
import org.moe4j.tensor.Safetensors;
import org.moe4j.tensor.Tensor;

/** What S57 says SparseMixer-v2 must do. */
class SparseMixerRouterTest extends InScope {
  private static final double[] Z = {1.0, 0.8, 0.3, -0.4};

  /** A gate whose logits are its inputs. */
  private static SparseMixerRouter gate(
      int experts, int k, double r, Mask mask, Estimator estimator, boolean shortcut) {
    ParameterStore store = wide(1);
    MoeConfig config = MoeConfig.builder(experts, 4, experts, k).router("grin").build();
    SparseMixerRouter router =
        new SparseMixerRouter(config, r, mask, estimator, shortcut, false, store, 0);
    double[][] eye = new double[experts][experts];
    for (int e = 0; e < experts; e++) {
      eye[e][e] = 1;
    }
    store.named("gate.weight").tensor().detach().copyInPlace(matrix(eye));
    return router;
  }

  private static SparseMixerRouter gate(int experts, int k, double r) {
    return gate(experts, k, r, Mask.CODE, Estimator.V2, true);
  }

  private static TokenContext train(long tokens, long seed) {
    return TokenContext.train(1, tokens, new RandomSource(seed));
  }

  /** Rows of {@code z}, as a leaf. */
  private static Tensor rows(double[] z, int n) {
    return Tensor.of(z, 1, z.length).expand(n, z.length).copy().requiresGrad(true);
  }

  /** p over those of {@code left} that the code keeps. */
  private static double[] masked(double[] z, boolean[] left, double r, double sharpness) {
    double best = Double.NEGATIVE_INFINITY;
    for (int e = 0; e < z.length; e++) {
      best = left[e] ? Math.max(best, z[e]) : best;
    }
    double[] kept = new double[z.length];
    for (int e = 0; e < z.length; e++) {
      boolean far = (best - z[e]) / Math.max(Math.abs(z[e]), best) > 2 * r;
      kept[e] = left[e] && !far ? z[e] * sharpness : Double.NEGATIVE_INFINITY;
    }
    return Loops.softmax(kept);
  }

  private static boolean[] allBut(int n, int... gone) {
    boolean[] left = new boolean[n];
    Arrays.fill(left, true);
    Arrays.stream(gone).forEach(e -> left[e] = false);
    return left;
  }

  @Test
  void evaluationEqualsTransformers() throws Exception {
    Path file =
        Path.of(SparseMixerRouterTest.class.getResource("/grin/sparsemixer.safetensors").toURI());
    double[] jitters = {0, 0.01, 0.1, 0.5};
    try (Safetensors expected = Safetensors.open(file)) {
      for (int i = 0; i < 2 * jitters.length; i++) {
        boolean rounded = i >= jitters.length;
        Tensor z = expected.load(rounded ? "bf16.logits" : "logits");
        ParameterStore store = new ParameterStore(new RandomSource(1), Device.CPU);
        MoeConfig config = MoeConfig.builder(6, 4, 6, 2).router("grin").build();
        SparseMixerRouter router =
            new SparseMixerRouter(
                config,
                jitters[i % jitters.length],
                Mask.CODE,
                Estimator.V2,
                true,
                rounded,
                store,
                0);
        Tensor eye = Tensor.zeros(6, 6);
        for (int e = 0; e < 6; e++) {
          eye.select(0, e).select(0, e).fillInPlace(1);
        }
        store.named("gate.weight").tensor().detach().copyInPlace(eye);
        TokenChoice r = router.route(z, TokenContext.eval(1, z.size(0)));
        assertThat(r.experts().toLongs()).containsExactly(expected.load("experts." + i).toLongs());
        // BF16's last digit, where two libraries sum a softmax in different order.
        double tolerance = rounded ? 4e-3 : 1e-6;
        assertThat(r.weights().dtype()).isEqualTo(z.dtype());
        assertThat(r.weights().toDoubles())
            .containsExactly(expected.load("weights." + i).toDoubles(), within(tolerance));
      }
    }
  }

  @Test
  void evaluationEqualsTheLoop() {
    int tokens = 1000;
    for (int[] shape : new int[][] {{6, 2}, {16, 2}, {6, 1}, {4, 4}}) {
      int experts = shape[0];
      double[][] z = rows(normal(tokens, experts));
      Arrays.fill(z[0], 0);
      Arrays.fill(z[1], -80);
      Arrays.fill(z[2], 80);
      z[3][experts - 1] = 80;
      z[3][0] = -80;
      TokenContext context = TokenContext.eval(1, tokens);
      TokenChoice r = gate(experts, shape[1], 0.2).route(matrix(z), context);
      double[][] weights = rows(r.weights());
      int[][] chosen = indices(r.experts());
      for (int t = 0; t < tokens; t++) {
        boolean[] left = allBut(experts);
        int[] order = Loops.top(z[t], shape[1]);
        assertThat(chosen[t]).containsExactly(order);
        for (int j = 0; j < shape[1]; j++) {
          double p = masked(z[t], left, 0.2, 1)[order[j]];
          assertThat(weights[t][j]).as("token %d choice %d", t, j).isCloseTo(p, within(1e-12));
          left[order[j]] = false;
        }
      }
    }
  }

  @Test
  void thePapersMaskComparesWithTheSumOfBoth() {
    // 1 - 0.8 = 0.2 <= r 1.8 from r = 1/9 on; the code keeps it from r = 0.1 on.
    for (Mask mask : Mask.values()) {
      double from = mask == Mask.PAPER ? 0.2 / 1.8 : 0.1;
      for (double r : new double[] {from - 1e-6, from + 1e-6}) {
        double m =
            gate(4, 1, r, mask, Estimator.V2, true)
                .route(rows(Z, 1), TokenContext.eval(1, 1))
                .weights()
                .item();
        double both = 1 / (1 + Math.exp(-0.2));
        assertThat(m).isCloseTo(r < from ? 1 : both, within(1e-12));
      }
    }
  }

  @Test
  void samplesFollowTheMaskedSoftmaxWithoutReplacement() {
    int n = 100_000;
    double r = 0.4;
    int[][] drawn = indices(gate(4, 2, r).route(rows(Z, n), train(n, 3)).experts());
    double[] p = masked(Z, allBut(4), r, 1);
    assertThat(p[3]).isZero();
    assertThat(p[2]).isPositive();
    double[][] seen = new double[4][4];
    double[] first = new double[4];
    for (int[] pair : drawn) {
      assertThat(pair[0]).isNotEqualTo(pair[1]);
      first[pair[0]]++;
      seen[pair[0]][pair[1]]++;
    }
    assertThat(chiSquare(first, p, n)).isLessThan(16); // 2 degrees of freedom: chance 3e-4
    for (int d = 0; d < 4; d++) {
      if (first[d] > 0) {
        double[] rest = masked(Z, allBut(4, d), r, 1);
        assertThat(chiSquare(seen[d], rest, first[d])).isLessThan(16);
      }
    }
  }

  private static double chiSquare(double[] seen, double[] p, double n) {
    double sum = 0;
    for (int e = 0; e < p.length; e++) {
      if (p[e] == 0) {
        assertThat(seen[e]).isZero();
      } else {
        sum += Math.pow(seen[e] - n * p[e], 2) / (n * p[e]);
      }
    }
    return sum;
  }

  @Test
  void aWeakDrawHasAThirdOfItsWeightThreeTimesOutOfFour() {
    int n = 100_000;
    for (Estimator estimator : Estimator.values()) {
      double sharpness = estimator == Estimator.V2 ? 1 : 0.5;
      double full = estimator == Estimator.V2 ? 0.25 : 0.625;
      TokenChoice r = gate(4, 1, 10, Mask.CODE, estimator, true).route(rows(Z, n), train(n, 4));
      double[] p = masked(Z, allBut(4), 10, sharpness);
      int[][] drawn = indices(r.experts());
      double[] w = r.weights().toDoubles();
      double weak = 0;
      double whole = 0;
      for (int t = 0; t < n; t++) {
        double a = w[t] / p[drawn[t][0]];
        if (drawn[t][0] == 0) {
          assertThat(a).isCloseTo(1, within(1e-9));
        } else {
          assertThat(Math.min(Math.abs(a - 1), Math.abs(a - 1.0 / 3))).isLessThan(1e-9);
          weak++;
          whole += a > 0.5 ? 1 : 0;
        }
      }
      double error = 4 * Math.sqrt(full * (1 - full) / weak);
      assertThat(whole / weak).isCloseTo(full, within(error));
    }
  }

  @Test
  void theGateGetsTheGradientOfTheUnscaledWeight() {
    int n = 200;
    double r = 0.4;
    for (Estimator estimator : Estimator.values()) {
      double sharpness = estimator == Estimator.V2 ? 1 : 0.5;
      Tensor x = rows(Z, n);
      TokenChoice routing = gate(4, 2, r, Mask.CODE, estimator, true).route(x, train(n, 5));
      double[][] g = rows(normal(n, 2));
      routing.weights().mul(matrix(g)).sum().backward();
      double[][] gradient = rows(x.grad().orElseThrow());
      int[][] drawn = indices(routing.experts());
      for (int t = 0; t < n; t++) {
        double[] expected = new double[4];
        double[] p1 = masked(Z, allBut(4), r, sharpness);
        double[] p2 = masked(Z, allBut(4, drawn[t][0]), r, sharpness);
        assertThat(p2[drawn[t][0]]).isZero();
        for (int e = 0; e < 4; e++) {
          int one = e == drawn[t][0] ? 1 : 0;
          int two = e == drawn[t][1] ? 1 : 0;
          // d softmax(s z) has a factor s, which 2* makes up for.
          expected[e] =
              g[t][0] * p1[drawn[t][0]] * (one - p1[e]) + g[t][1] * p2[drawn[t][1]] * (two - p2[e]);
        }
        assertThat(gradient[t]).containsExactly(expected, within(1e-12));
        assertThat(Arrays.stream(gradient[t]).sum()).isCloseTo(0, within(1e-12));
      }
    }
  }

  @Test
  void aWideJitterKeepsAllAndNoneKeepsTheBest() {
    double[] w = gate(4, 2, 1e9).route(rows(Z, 1), TokenContext.eval(1, 1)).weights().toDoubles();
    assertThat(w[0]).isCloseTo(Loops.softmax(Z)[0], within(1e-12));
    assertThat(w[1]).isCloseTo(Loops.softmax(new double[] {0.8, 0.3, -0.4})[0], within(1e-12));
    Tensor x = rows(Z, 1);
    TokenChoice sure = gate(4, 2, 0).route(x, train(1, 1));
    assertThat(sure.experts().toLongs()).containsExactly(0, 1);
    assertThat(sure.weights().toDoubles()).containsExactly(1, 1);
    sure.weights().sum().backward();
    assertThat(x.grad().orElseThrow().toDoubles()).containsOnly(0);
  }

  private static final double[][] OUTPUTS = {{0.9, -0.4}, {-1.1, 0.8}, {0.5, 1.5}, {-0.7, -1.2}};

  private static double linear(double[] y) {
    return 0.3 + 1.2 * y[0] - 0.7 * y[1];
  }

  private static double cubic(double[] y) {
    double s = 0.8 * y[0] + 1.1 * y[1];
    return linear(y) + 2 * y[0] * y[1] + 6 * s * s * s;
  }

  private static Tensor linear(Tensor y) {
    return y.select(1, 0).mul(1.2).sub(y.select(1, 1).mul(0.7));
  }

  private static Tensor cubic(Tensor y) {
    Tensor s = y.select(1, 0).mul(0.8).add(y.select(1, 1).mul(1.1));
    return linear(y).add(y.select(1, 0).mul(y.select(1, 1)).mul(2)).add(s.pow(3).mul(6));
  }

  /** d/dz of sum_i p_i f(q_i E_i) by differences; q is p, or p held where {@code detached}. */
  private static double[] exact(ToDoubleFunction<double[]> f, double sharpness, boolean detached) {
    double[] gradient = new double[4];
    double[] held = masked(Z, allBut(4), 1e9, sharpness);
    for (int e = 0; e < 4; e++) {
      double[] sides = new double[2];
      for (int side = 0; side < 2; side++) {
        double[] z = Z.clone();
        z[e] += side == 0 ? 1e-5 : -1e-5;
        double[] p = masked(z, allBut(4), 1e9, sharpness);
        for (int i = 0; i < 4; i++) {
          double q = detached ? held[i] : p[i];
          sides[side] +=
              p[i] * f.applyAsDouble(new double[] {q * OUTPUTS[i][0], q * OUTPUTS[i][1]});
        }
      }
      gradient[e] = (sides[0] - sides[1]) / 2e-5;
    }
    return gradient;
  }

  /** The largest distance of the mean estimate from the exact gradient, in standard errors. */
  private static double deviation(
      Estimator estimator,
      boolean shortcut,
      Function<Tensor, Tensor> f,
      ToDoubleFunction<double[]> plain) {
    int n = 60_000;
    Tensor x = rows(Z, n);
    TokenChoice r = gate(4, 1, 1e9, Mask.CODE, estimator, shortcut).route(x, train(n, 11));
    Tensor outputs = matrix(OUTPUTS).indexSelect(0, r.experts().reshape(n));
    f.apply(outputs.mul(r.weights())).sum().backward();
    Tensor gradient = x.grad().orElseThrow();
    double[] mean = gradient.mean(0, false).toDoubles();
    double[] square = gradient.square().mean(0, false).toDoubles();
    double[] exact = exact(plain, estimator == Estimator.V2 ? 1 : 0.5, estimator == Estimator.V2);
    double worst = 0;
    for (int e = 0; e < 4; e++) {
      double error = Math.sqrt((square[e] - mean[e] * mean[e]) / n);
      worst = Math.max(worst, Math.abs(mean[e] - exact[e]) / error);
    }
    return worst;
  }

  @Test
  void withoutTheShortcutTheEstimateIsExactForCubicLosses() {
    for (Estimator estimator : Estimator.values()) {
      assertThat(deviation(estimator, false, SparseMixerRouterTest::cubic, y -> cubic(y)))
          .as("%s", estimator)
          .isLessThan(4);
    }
  }

  @Test
  void withTheShortcutItIsExactForLinearLossesAlone() {
    for (Estimator estimator : Estimator.values()) {
      assertThat(deviation(estimator, true, SparseMixerRouterTest::linear, y -> linear(y)))
          .as("%s", estimator)
          .isLessThan(4);
      assertThat(deviation(estimator, true, SparseMixerRouterTest::cubic, y -> cubic(y)))
          .as("%s", estimator)
          .isGreaterThan(5);
    }
  }

  @Test
  void theLossIsKWhereAllExpertsAreUsedEvenly() {
    double[][] z = new double[4][4];
    for (int t = 0; t < 4; t++) {
      for (int e = 0; e < 4; e++) {
        z[t][(t + e) % 4] = Z[e];
      }
    }
    TokenContext context = TokenContext.eval(1, 4);
    TokenChoice r = gate(4, 2, 0.01).route(matrix(z), context);
    Balance loss = BalanceRegistry.named(RouterRegistry.named("grin").losses().getFirst());
    assertThat(loss.loss(r, context).item()).isCloseTo(2, within(1e-12));
  }

  @Test
  void allTokensMayGoToOneExpert() {
    MoeConfig config =
        MoeConfig.builder(4, 6, 4, 1).router("grin").dispatch(Dispatch.DROPLESS).build();
    ParameterStore store = wide(3);
    MoeLayer layer = new MoeLayer(config, store);
    double[][] w = {{9, 9, 9, 9}, {0, 0, 0, 0}, {0, 0, 0, 0}, {0, 0, 0, 0}};
    store.named("gate.weight").tensor().detach().copyInPlace(matrix(w));
    MoeOutput out = layer.forward(normal(30, 4).abs().add(0.1), train(30, 2));
    assertThat(out.stats().served()).containsExactly(30, 0, 0, 0);
    out.output().sum().backward();
    Tensor gradient = store.named("experts.w_in").tensor().grad().orElseThrow();
    assertThat(gradient.allFinite()).isTrue();
    assertThat(gradient.select(0, 0).abs().sum().item()).isPositive();
    assertThat(gradient.narrow(0, 1, 3).abs().sum().item()).isZero();
  }

  @Test
  void mistakesAreRefused() {
    assertThatThrownBy(() -> gate(4, 2, -0.1))
        .isInstanceOf(MoeException.class)
        .hasMessageContaining("jitter -0.1");
    assertThatThrownBy(() -> gate(1, 2, 0.1)).isInstanceOf(MoeException.class);
  }
}

package org.moe4j;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.moe4j.GShardRouter.Further;
import org.moe4j.GShardRouter.Policy;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.RandomSource;
import org.moe4j.tensor.Tensor;

/** What S18 says of the top-n gate with a threshold for each choice. */
class TopNGateTest extends InScope {
  private static final Renormalise BEFORE = Renormalise.beforeDrop(1e-9);

  /** A gate whose logits are its inputs. */
  private static GShardRouter gate(int experts, int k, Further further, Renormalise how) {
    ParameterStore store = wide(1);
    GShardRouter router =
        new GShardRouter(experts, experts, k, further, further, how, false, Init.zeros(), store, 0);
    double[][] eye = new double[experts][experts];
    for (int e = 0; e < experts; e++) {
      eye[e][e] = 1;
    }
    store.named("gate.weight").tensor().detach().copyInPlace(matrix(eye));
    return router;
  }

  private static GShardRouter gate(int experts, int k, Policy policy, Double... thresholds) {
    return gate(experts, k, new Further(policy, List.of(thresholds)), BEFORE);
  }

  /** Weights [T][E] token by token: all j-th choices before any later one, in token order. */
  private static double[][] sequential(
      double[][] z, double[][] u, int k, double[] thresholds, long slots) {
    int experts = z[0].length;
    double[][] combine = new double[z.length][experts];
    long[] used = new long[experts];
    for (int j = 0; j < k; j++) {
      for (int t = 0; t < z.length; t++) {
        double[] p = Loops.softmax(z[t]);
        int[] top = Loops.top(p, k);
        double sum = Arrays.stream(top).mapToDouble(e -> p[e]).sum() + 1e-9;
        double g = p[top[j]] / sum;
        boolean wanted = j == 0 || u[t][j - 1] < g / Math.max(thresholds[j - 1], 1e-9);
        if (wanted && used[top[j]] < slots) {
          used[top[j]]++;
          combine[t][top[j]] = g;
        }
      }
    }
    return combine;
  }

  private static double[][] dense(TokenChoice r) {
    double[][] out = new double[(int) r.tokens()][r.expertCount()];
    int[][] experts = indices(r.experts());
    double[][] weights = rows(r.weights());
    for (int t = 0; t < out.length; t++) {
      for (int j = 0; j < r.k(); j++) {
        if (experts[t][j] >= 0) {
          out[t][experts[t][j]] += weights[t][j];
        }
      }
    }
    return out;
  }

  @Test
  void equalsTheTokenLoopForEveryNumberOfChoices() {
    int tokens = 64;
    int experts = 8;
    for (int k : new int[] {2, 3, 4}) {
      for (double factor : new double[] {0.5, 1.25, 2}) {
        for (double threshold : new double[] {0, 0.2, 1}) {
          double[] thresholds = new double[k - 1];
          Arrays.setAll(thresholds, j -> threshold / (j + 1));
          Double[] own = Arrays.stream(thresholds).boxed().toArray(Double[]::new);
          Tensor z = normal(tokens, experts).mul(2);
          long seed = random.nextSeed();
          double[][] u = rows(new RandomSource(seed).uniform(tokens, k - 1));
          TokenContext context = TokenContext.train(1, tokens, new RandomSource(seed));
          Capacity capacity = Capacity.mesh(factor, factor);
          TokenChoice plan =
              capacity.apply(gate(experts, k, Policy.RANDOM, own).route(z, context), context);
          long slots = Math.max(4, (long) (tokens * factor / experts));
          same(matrix(dense(plan)), matrix(sequential(rows(z), u, k, thresholds, slots)), 1e-12);
          long[] served = new long[experts];
          Arrays.stream(plan.experts().toLongs())
              .filter(e -> e >= 0)
              .forEach(e -> served[(int) e]++);
          assertThat(Arrays.stream(served).max().orElseThrow()).isLessThanOrEqualTo(slots);
        }
      }
    }
  }

  @Test
  void theThresholdPolicyHasOneThresholdPerChoice() {
    Tensor z = normal(200, 6);
    TokenContext context = TokenContext.train(1, 200, new RandomSource(3));
    TokenChoice r = gate(6, 3, Policy.THRESHOLD, 0.3, 0.2).route(z, context);
    TokenChoice all = gate(6, 3, Policy.ALL, 0.0).route(z, context);
    double[][] g = rows(all.weights());
    int[] met = new int[2];
    for (int t = 0; t < 200; t++) {
      assertThat(indices(r.experts())[t][0]).isNotNegative();
      for (int j = 1; j < 3; j++) {
        boolean above = g[t][j] > (j == 1 ? 0.3 : 0.2);
        met[j - 1] += above ? 1 : 0;
        assertThat(indices(r.experts())[t][j] >= 0).isEqualTo(above);
      }
    }
    assertThat(met[0]).isBetween(20, 180);
    assertThat(met[1]).isBetween(20, 180);
  }

  @Test
  void theEndsOfThePolicies() {
    Tensor z = normal(100, 6);
    TokenContext context = TokenContext.train(1, 100, new RandomSource(3));
    TokenChoice all = gate(6, 3, Policy.ALL, 0.0).route(z, context);
    TokenChoice zero = gate(6, 3, Policy.RANDOM, 0.0).route(z, context);
    assertThat(zero.experts().toLongs()).containsExactly(all.experts().toLongs());
    TokenChoice none = gate(6, 3, Policy.NONE, 0.0).route(z, context);
    for (int t = 0; t < 100; t++) {
      assertThat(indices(none.experts())[t][1]).isEqualTo(-1);
      assertThat(indices(none.experts())[t][2]).isEqualTo(-1);
      // Normalised over all three before the policy: not 1.
      assertThat(rows(none.weights())[t][0])
          .isCloseTo(rows(all.weights())[t][0], within(1e-12))
          .isLessThan(0.999);
    }
    TokenChoice drawn = gate(6, 3, Policy.SAMPLING, 0.0).route(z, context);
    for (int[] row : indices(drawn.experts())) {
      assertThat(row).doesNotHaveDuplicates().doesNotContain(-1);
    }
  }

  @Test
  void oneChoiceKeepsItsProbability() {
    double[][] z = rows(normal(20, 6));
    TokenChoice r =
        gate(6, 1, Policy.RANDOM, 0.2)
            .route(matrix(z), TokenContext.train(1, 20, new RandomSource(1)));
    for (int t = 0; t < 20; t++) {
      double[] p = Loops.softmax(z[t]);
      assertThat(rows(r.weights())[t][0]).isCloseTo(max(p), within(1e-12));
    }
  }

  private static double max(double[] p) {
    return Arrays.stream(p).max().orElseThrow();
  }

  @Test
  void flaxformersWeightsAreTheProbabilities() {
    double[][] z = rows(normal(20, 6));
    TokenChoice r =
        gate(6, 2, Further.of(Policy.ALL, 0), Renormalise.NO)
            .route(matrix(z), TokenContext.eval(1, 20));
    for (int t = 0; t < 20; t++) {
      double[] p = Loops.softmax(z[t]);
      int[] top = Loops.top(p, 2);
      assertThat(rows(r.weights())[t])
          .containsExactly(new double[] {p[top[0]], p[top[1]]}, within(1e-12));
    }
  }

  @Test
  void inBf16TheGateStaysInF32() {
    ParameterStore store = new ParameterStore(1);
    GShardRouter router =
        (GShardRouter)
            new MoeLayer(MoeConfig.builder(6, 4, 8, 3).router("st-moe").build(), store).router();
    Tensor x = normal(10, 6).to(DType.BF16).requiresGrad(true);
    TokenChoice r = router.route(x, TokenContext.train(1, 10, new RandomSource(1)));
    assertThat(r.evidence().logits().orElseThrow().dtype()).isEqualTo(DType.F32);
    new RouterZLoss().loss(r, TokenContext.eval(1, 10)).backward();
    assertThat(store.named("gate.weight").tensor().grad().orElseThrow().dtype())
        .isEqualTo(DType.F32);
  }

  private static RouterEntry named(Map<String, Object> options) {
    MoeConfig config = MoeConfig.builder(6, 4, 8, 3).router("st-moe", options).build();
    new MoeLayer(config, wide(1));
    return config.routerEntry();
  }

  @Test
  void thresholdsComeFromOptions() {
    assertThat(named(Map.of("threshold", "0.2, 0.4", "threshold-eval", 0.5)).name())
        .isEqualTo("st-moe");
    for (Map<String, Object> wrong :
        List.<Map<String, Object>>of(
            Map.of("threshold", "0.2, 0.4, 0.6"),
            Map.of("threshold", "0.2; 0.4"),
            Map.of("threshold", ""),
            Map.of("threshold-eval", -1),
            Map.of("threshold", "NaN"))) {
      assertThatThrownBy(() -> named(wrong))
          .as(wrong.toString())
          .isInstanceOf(MoeException.class)
          .hasMessageContaining("threshold")
          .hasMessageNotContaining("\n");
    }
    assertThatThrownBy(() -> gate(2, 3, Policy.ALL, 0.0)).hasMessageContaining("top-3 needs");
  }
}

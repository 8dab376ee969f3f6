package org.moe4j;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.List;
import org.junit.jupiter.api.Test;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.RandomSource;
import org.moe4j.tensor.Tensor;

/** GShard's gate and capacity, token by token as the paper's algorithm (S05, S16, S18). */
class GShardRouterTest extends InScope {
  private static final Renormalise BEFORE = Renormalise.beforeDrop(1e-9);
  private static final Renormalise AFTER = Renormalise.afterDrop(Math.ulp(1.0f));

  /** A gate whose logits are its inputs. */
  private static GShardRouter gate(
      int experts, GShardRouter.Policy policy, double threshold, Renormalise renormalise) {
    return gate(experts, 2, GShardRouter.Further.of(policy, threshold), renormalise);
  }

  private static GShardRouter gate(
      int experts, int k, GShardRouter.Further further, Renormalise renormalise) {
    ParameterStore store = wide(1);
    GShardRouter router =
        new GShardRouter(
            experts, experts, k, further, further, renormalise, false, Init.zeros(), store, 0);
    double[][] eye = new double[experts][experts];
    for (int e = 0; e < experts; e++) {
      eye[e][e] = 1;
    }
    store.named("gate.weight").tensor().detach().copyInPlace(matrix(eye));
    return router;
  }

  /** Combine weights [T][E] by the sequential algorithm. */
  private static double[][] sequential(
      double[][] logits,
      double[] u,
      int group,
      long slots,
      double threshold,
      boolean before,
      boolean burn) {
    int experts = logits[0].length;
    double[][] combine = new double[logits.length][experts];
    for (int start = 0; start < logits.length; start += group) {
      int[] first = new int[group];
      int[] second = new int[group];
      double[] g1 = new double[group];
      double[] g2 = new double[group];
      boolean[] keep1 = new boolean[group];
      boolean[] keep2 = new boolean[group];
      long[] used = new long[experts];
      for (int s = 0; s < group; s++) {
        double[] g = Loops.softmax(logits[start + s]);
        int[] top = Loops.top(logits[start + s], 2);
        first[s] = top[0];
        second[s] = top[1];
        double sum = before ? g[top[0]] + g[top[1]] + 1e-9 : 1;
        g1[s] = g[top[0]] / sum;
        g2[s] = g[top[1]] / sum;
        keep1[s] = used[first[s]] < slots;
        used[first[s]]++;
      }
      for (int e = 0; e < experts; e++) {
        used[e] = Math.min(used[e], slots);
      }
      for (int s = 0; s < group; s++) {
        boolean wanted = u[start + s] < g2[s] / Math.max(threshold, 1e-9);
        if (wanted || burn) {
          keep2[s] = wanted && used[second[s]] < slots;
          used[second[s]]++;
        }
      }
      for (int s = 0; s < group; s++) {
        double a = keep1[s] ? g1[s] : 0;
        double b = keep2[s] ? g2[s] : 0;
        double divisor = before ? 1 : Math.max(a + b, Math.ulp(1.0f));
        combine[start + s][first[s]] += a / divisor;
        combine[start + s][second[s]] += b / divisor;
      }
    }
    return combine;
  }

  private static double[][] dense(TokenChoice r) {
    double[][] out = new double[(int) r.tokens()][r.expertCount()];
    int[][] experts = indices(r.experts());
    double[][] weights = rows(r.weights());
    for (int t = 0; t < out.length; t++) {
      for (int j = 0; j < experts[t].length; j++) {
        if (experts[t][j] >= 0) {
          out[t][experts[t][j]] += weights[t][j];
        } else {
          assertThat(weights[t][j]).isZero();
        }
      }
    }
    return out;
  }

  @Test
  void equalsTheSequentialAlgorithm() {
    for (int experts : new int[] {2, 4, 8}) {
      for (int size : new int[] {1, 7, 64}) {
        for (double threshold : new double[] {0, 0.2, 0.5, 1}) {
          for (boolean before : new boolean[] {true, false}) {
            for (boolean burn : new boolean[] {true, false}) {
              int slots = 1 + (int) (random.nextSeed() % size);
              Tensor logits = normal(2L * size, experts).mul(2);
              long seed = random.nextSeed();
              double[] u = new RandomSource(seed).uniform(2L * size, 1).toDoubles();
              TokenContext context = TokenContext.train(2, size, new RandomSource(seed));
              CapacityRule rule = new CapacityRule.Fixed(slots);
              Capacity capacity =
                  new Capacity(rule, rule, Grouping.SEQUENCE, DropOrder.CHOICE, burn);
              TokenChoice plan =
                  gate(experts, GShardRouter.Policy.RANDOM, threshold, before ? BEFORE : AFTER)
                      .route(logits, context);
              same(
                  matrix(dense(capacity.apply(plan, context))),
                  matrix(sequential(rows(logits), u, size, slots, threshold, before, burn)),
                  1e-12);
            }
          }
        }
      }
    }
  }

  @Test
  void withRoomForAllWeightsSumToOne() {
    Tensor z = normal(50, 8);
    for (Renormalise how : List.of(BEFORE, AFTER)) {
      double[][] w =
          rows(
              gate(8, GShardRouter.Policy.ALL, 0.5, how)
                  .route(z, TokenContext.eval(1, 50))
                  .weights());
      for (double[] row : w) {
        assertThat(row[0] + row[1]).isCloseTo(1, within(1e-6));
      }
    }
  }

  @Test
  void theSecondExpertIsAcceptedWithProbabilityTwoG2() {
    int draws = 100_000;
    double g2 = 0.3;
    Tensor z = Tensor.of(new double[] {Math.log(0.7), Math.log(g2)}, 1, 2).expand(draws, 2);
    TokenChoice r =
        gate(2, GShardRouter.Policy.RANDOM, 0.5, BEFORE)
            .route(z.contiguous(), TokenContext.train(1, draws, new RandomSource(3)));
    double accepted = r.wanted().to(DType.F64).narrow(1, 1, 1).mean().item();
    assertThat(accepted).isCloseTo(0.6, within(3 * Math.sqrt(0.6 * 0.4 / draws)));
  }

  @Test
  void otherPolicies() {
    Tensor z = normal(40, 4);
    TokenContext context = TokenContext.train(1, 40, new RandomSource(3));
    double[][] g = new double[40][];
    TokenChoice all = gate(4, GShardRouter.Policy.ALL, 0.5, BEFORE).route(z, context);
    TokenChoice none = gate(4, GShardRouter.Policy.NONE, 0.5, BEFORE).route(z, context);
    TokenChoice above = gate(4, GShardRouter.Policy.THRESHOLD, 0.4, BEFORE).route(z, context);
    TokenChoice drawn = gate(4, GShardRouter.Policy.SAMPLING, 0.5, BEFORE).route(z, context);
    for (int t = 0; t < 40; t++) {
      g[t] = rows(all.weights())[t];
      assertThat(indices(none.experts())[t][1]).isEqualTo(-1);
      // Normalised before the policy: alone, but not 1.
      assertThat(rows(none.weights())[t]).containsExactly(new double[] {g[t][0], 0}, within(1e-12));
      assertThat(indices(above.experts())[t][1] >= 0).isEqualTo(g[t][1] > 0.4);
      assertThat(indices(drawn.experts())[t][1])
          .isNotNegative()
          .isNotEqualTo(indices(drawn.experts())[t][0]);
    }
    assertThat(drawn.experts().toLongs()).isNotEqualTo(all.experts().toLongs());
  }

  @Test
  void samplingFollowsTheRemainingProbabilities() {
    int draws = 50_000;
    Tensor z =
        Tensor.of(new double[] {Math.log(0.5), Math.log(0.3), Math.log(0.15), Math.log(0.05)}, 1, 4)
            .expand(draws, 4)
            .contiguous();
    TokenContext context = TokenContext.train(1, draws, new RandomSource(3));
    double[] load =
        RoutingStats.of(
                gate(4, GShardRouter.Policy.SAMPLING, 0.5, BEFORE).route(z, context), context)
            .asked();
    assertThat(load[0]).isEqualTo(draws);
    for (int e = 1; e < 4; e++) {
      double p = new double[] {0, 0.6, 0.3, 0.1}[e];
      assertThat(load[e] / draws).isCloseTo(p, within(4 * Math.sqrt(p * (1 - p) / draws)));
    }
  }

  @Test
  void aSaturatedGateStillHasTwoDifferentExperts() {
    Tensor z = Tensor.of(new double[] {800, -800, -801, -802}, 1, 4);
    TokenChoice r = gate(4, GShardRouter.Policy.ALL, 0.5, BEFORE).route(z, TokenContext.eval(1, 1));
    assertThat(r.experts().toLongs()).containsExactly(0, 1);
    assertThat(r.weights().toDoubles()).containsExactly(new double[] {1, 0}, within(1e-8));
  }

  @Test
  void paddingNeitherTakesASlotNorMovesTheLoss() {
    GShardRouter gate = gate(4, GShardRouter.Policy.ALL, 0.5, BEFORE);
    Tensor mask = Tensor.of(new byte[] {1, 1, 0, 1, 0, 1, 1, 1}).to(DType.BOOL);
    TokenContext context = TokenContext.eval(1, 8).withPadding(mask);
    Capacity capacity = Capacity.gshardPaper(Grouping.BATCH);
    double[][] z = rows(normal(8, 4));
    TokenChoice one = capacity.apply(gate.route(matrix(z), context), context);
    z[2] = new double[] {9, 8, 7, 6};
    z[4] = new double[] {9, 8, 7, 6};
    TokenChoice two = capacity.apply(gate.route(matrix(z), context), context);
    assertThat(two.experts().toLongs()).containsExactly(one.experts().toLongs());
    Balance loss = FractionBalance.gshard(Grouping.BATCH);
    assertThat(loss.loss(two, context).item()).isEqualTo(loss.loss(one, context).item());
    assertThat(indices(one.experts())[2]).containsExactly(-1, -1);
  }

  @Test
  void oneExpertIsRefused() {
    assertThatThrownBy(() -> gate(1, GShardRouter.Policy.ALL, 0.5, BEFORE))
        .isInstanceOf(MoeException.class)
        .hasMessageContaining("needs at least 2 experts");
    assertThatThrownBy(() -> gate(4, GShardRouter.Policy.ALL, -1, BEFORE))
        .hasMessageContaining("threshold -1.0");
  }
}

package org.moe4j;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.Tensor;

/** Every gating order against a loop over doubles. */
class GatingTest extends InScope {
  private static final int E = 8;
  private static final int K = 3;

  static List<Gating> gatings() {
    return List.of(
        Gating.MIXTRAL,
        Gating.SOFTMAX_TOP_K,
        Gating.SOFTMAX_TOP_K.withScale(16),
        Gating.TOP_K_SOFTMAX,
        Gating.DEEPSEEK_V3,
        Gating.ERNIE,
        Gating.LLAMA4,
        Gating.deepSeekV2(4, 2, 16),
        Gating.deepSeekV3(4, 2, 2.5),
        Gating.deepSeekV3(2, 1, 1)
            .with(new GroupLimit(2, 1, GroupLimit.GroupScore.TOP2_SUM, GroupLimit.Mask.ZERO)),
        Gating.MIXTRAL.with(Gating.Score.Z_SCORED).withLogitScale(1.5),
        Gating.MIXTRAL.with(Gating.Score.RAW).with(Renormalise.NO),
        Gating.MIXTRAL.with(Renormalise.afterDrop(1e-7)));
  }

  /** The router with W = identity, so that logits are the inputs. */
  private static LinearRouter identity(Gating gating, int k, double[] bias) {
    ParameterStore store = wide(1);
    LinearRouter router = new LinearRouter(gating, E, E, k, false, 0, Init.zeros(), store, 0);
    double[][] eye = new double[E][E];
    for (int e = 0; e < E; e++) {
      eye[e][e] = 1;
    }
    store.named("gate.weight").tensor().detach().copyInPlace(matrix(eye));
    router.selectionBias().ifPresent(b -> b.tensor().detach().copyInPlace(Tensor.of(bias)));
    return router;
  }

  private static double[] expected(Gating g, double[] logits, double[] bias, int k) {
    double[] z = logits.clone();
    if (g.score() == Gating.Score.Z_SCORED) {
      double mean = Arrays.stream(z).average().orElseThrow();
      double ss = Arrays.stream(z).map(v -> (v - mean) * (v - mean)).sum();
      double deviation = Math.sqrt(ss / (E - 1));
      double by = g.logitScale() / deviation;
      z = Arrays.stream(z).map(v -> deviation == 0 ? 0 : v * by).toArray();
    }
    boolean all = g.order() == Gating.Order.SCORE_THEN_SELECT;
    double[] scores = all ? score(g, z) : z;
    double[] selection = scores.clone();
    for (int e = 0; e < E; e++) {
      selection[e] += g.selectionBias() ? bias[e] : 0;
    }
    maskGroups(g.groups(), selection);
    int[] chosen = Loops.top(selection, k);
    double[] picked = Arrays.stream(chosen).mapToDouble(e -> scores[e]).toArray();
    double[] w = all ? picked : score(g, picked);
    if (g.renormalise().when() != Renormalise.When.NO) {
      double sum = Arrays.stream(w).sum();
      double by =
          g.renormalise().guard() == Renormalise.Guard.ADD
              ? sum + g.renormalise().epsilon()
              : Math.max(sum, g.renormalise().epsilon());
      w = Arrays.stream(w).map(v -> v / by).toArray();
    }
    double[] dense = new double[E];
    for (int j = 0; j < k; j++) {
      dense[chosen[j]] = w[j] * g.scale();
    }
    return dense;
  }

  private static double[] score(Gating g, double[] z) {
    return switch (g.score()) {
      case SOFTMAX, Z_SCORED -> Loops.softmax(z);
      case SIGMOID -> Arrays.stream(z).map(Loops::sigmoid).toArray();
      case RAW -> z;
    };
  }

  private static void maskGroups(GroupLimit limit, double[] selection) {
    if (limit.groups() == 1) {
      return;
    }
    int size = E / limit.groups();
    double[] rating = new double[limit.groups()];
    for (int g = 0; g < rating.length; g++) {
      double[] group = Arrays.copyOfRange(selection, g * size, (g + 1) * size);
      Arrays.sort(group);
      rating[g] =
          group[size - 1] + (limit.score() == GroupLimit.GroupScore.TOP2_SUM ? group[size - 2] : 0);
    }
    int[] kept = Loops.top(rating, limit.kept());
    for (int e = 0; e < E; e++) {
      int group = e / size;
      if (Arrays.stream(kept).noneMatch(g -> g == group)) {
        selection[e] = limit.mask() == GroupLimit.Mask.ZERO ? 0 : Double.NEGATIVE_INFINITY;
      }
    }
  }

  private static double[] dense(TokenChoice r, int token) {
    double[] dense = new double[E];
    int[] experts = indices(r.experts())[token];
    double[] weights = rows(r.weights())[token];
    for (int j = 0; j < experts.length; j++) {
      dense[experts[j]] += weights[j];
    }
    return dense;
  }

  @ParameterizedTest
  @MethodSource("gatings")
  void equalsTheLoop(Gating gating) {
    double[] bias = {0.3, -0.2, 0.1, 0, -0.4, 0.25, 0.05, -0.1};
    double[][] logits = rows(normal(40, E).mul(2));
    Arrays.fill(logits[0], 1.5);
    for (int e = 0; e < E; e++) {
      logits[1][e] = e % 2 == 0 ? 80 : -80;
      logits[2][e] = e == 5 ? 80 : -80;
    }
    LinearRouter router = identity(gating, K, bias);
    TokenChoice r = router.route(matrix(logits), TokenContext.eval(1, 40));
    for (int t = 0; t < logits.length; t++) {
      assertThat(dense(r, t))
          .as("token %d", t)
          .containsExactly(expected(gating, logits[t], bias, K), within(1e-12));
    }
  }

  @ParameterizedTest
  @MethodSource("gatings")
  void survivesAsOptions(Gating gating) {
    MoeConfig config = MoeConfig.builder(4, 4, E, K).gating(gating).build();
    assertThat(config.gating()).contains(gating);
  }

  @Test
  void scoringBeforeOrAfterSelectionIsTheSameWhenRenormalised() {
    Tensor z = normal(50, E);
    double[] none = new double[E];
    TokenContext context = TokenContext.eval(1, 50);
    same(
        identity(Gating.MIXTRAL, K, none).route(z, context).weights(),
        identity(Gating.TOP_K_SOFTMAX, K, none).route(z, context).weights(),
        1e-12);
  }

  @Test
  void theBiasMovesTheChoiceButNotTheWeight() {
    double[] bias = new double[E];
    bias[7] = 10;
    Tensor z = normal(20, E);
    TokenChoice r =
        identity(Gating.DEEPSEEK_V3.with(Renormalise.NO), 1, bias)
            .route(z, TokenContext.eval(1, 20));
    for (int t = 0; t < 20; t++) {
      assertThat(indices(r.experts())[t]).containsExactly(7);
      assertThat(rows(r.weights())[t][0]).isCloseTo(Loops.sigmoid(rows(z)[t][7]), within(1e-12));
    }
  }

  @Test
  void aSurvivorTakesTheDroppedShareOnlyAfterDrops() {
    Tensor z = normal(6, E);
    Tensor kept = Tensor.of(new byte[] {1, 0, 0, 1, 1, 1, 0, 0, 1, 0, 1, 0}, 6, 2).to(DType.BOOL);
    double[] none = new double[E];
    TokenContext context = TokenContext.eval(1, 6);
    TokenChoice before = identity(Gating.MIXTRAL, 2, none).route(z, context).keeping(kept);
    TokenChoice after =
        identity(Gating.MIXTRAL.with(Renormalise.afterDrop(1e-7)).withScale(3), 2, none)
            .route(z, context)
            .keeping(kept);
    double[][] w = rows(before.weights());
    double[][] a = rows(after.weights());
    assertThat(w[0][0]).isBetween(0.5, 1.0).isNotEqualTo(1.0);
    assertThat(w[0][1]).isZero();
    assertThat(a[0]).containsExactly(new double[] {3, 0}, within(1e-12));
    assertThat(a[1]).containsExactly(new double[] {0, 3}, within(1e-12));
    assertThat(a[2][0] + a[2][1]).isCloseTo(3, within(1e-12));
    assertThat(a[3]).containsExactly(0, 0);
    assertThat(indices(after.experts())[3]).containsExactly(-1, -1);
  }

  @Test
  void groupsThatDoNotFitAreRefused() {
    assertThatThrownBy(() -> identity(Gating.deepSeekV3(3, 1, 1), 2, new double[E]))
        .isInstanceOf(MoeException.class)
        .hasMessage("8 experts do not divide into 3 groups; change either");
    assertThatThrownBy(() -> identity(Gating.deepSeekV3(4, 1, 1), 3, new double[E]))
        .hasMessageContaining("top-k 3 is more than the 2 experts of the kept groups");
    assertThatThrownBy(() -> identity(Gating.deepSeekV3(4, 5, 1), 3, new double[E]))
        .hasMessageContaining("kept-groups 5 of 4");
  }

  @Test
  void bf16RoutingRoundsTheProduct() {
    TokenChoice r =
        new LinearRouter(
                Gating.SOFTMAX_TOP_K.with(DType.BF16),
                E,
                E,
                2,
                false,
                0,
                Init.normal(1),
                new ParameterStore(3),
                0)
            .route(normal(4, E).to(DType.BF16), TokenContext.eval(1, 4));
    assertThat(r.evidence().logits().orElseThrow().dtype()).isEqualTo(DType.BF16);
  }
}

package org.moe4j;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
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
        Gating.MIXTRAL.with(Renormalise.afterDrop(1e-7)),
        Gating.SWITCH,
        Gating.MIXTRAL.with(Renormalise.byNorm(2)),
        Gating.DEEPSEEK_V3.with(
            new Renormalise(Renormalise.When.AFTER_DROP, Renormalise.Guard.MAX, 1e-12, 3)));
  }

  /** The router with W = identity, so that logits are the inputs. */
  private static LinearRouter identity(Gating gating, int k, double[] bias) {
    return identity(gating, k, bias, wide(1));
  }

  private static LinearRouter identity(Gating gating, int k, double[] bias, ParameterStore store) {
    int experts = bias.length;
    LinearRouter router =
        new LinearRouter(gating, experts, experts, k, false, 0, Init.zeros(), store, 0);
    double[][] eye = new double[experts][experts];
    for (int e = 0; e < experts; e++) {
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
      double deviation = Math.sqrt(ss / (z.length - 1));
      double by = g.logitScale() / deviation;
      z = Arrays.stream(z).map(v -> deviation == 0 ? 0 : v * by).toArray();
    }
    boolean all = g.order() == Gating.Order.SCORE_THEN_SELECT;
    double[] scores = all ? score(g, z) : z;
    double[] selection = scores.clone();
    for (int e = 0; e < selection.length; e++) {
      selection[e] += g.selectionBias() ? bias[e] : 0;
    }
    maskGroups(g.groups(), selection);
    int[] chosen = Loops.top(selection, k);
    double[] picked = Arrays.stream(chosen).mapToDouble(e -> scores[e]).toArray();
    double[] w = all ? picked : score(g, picked);
    if (g.renormalise().when() != Renormalise.When.NO) {
      double p = g.renormalise().norm();
      double norm = Math.pow(Arrays.stream(w).map(v -> Math.pow(v, p)).sum(), 1 / p);
      double by =
          g.renormalise().guard() == Renormalise.Guard.ADD
              ? norm + g.renormalise().epsilon()
              : Math.max(norm, g.renormalise().epsilon());
      w = Arrays.stream(w).map(v -> v / by).toArray();
    }
    double[] dense = new double[z.length];
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
    int size = selection.length / limit.groups();
    double[] rating = new double[limit.groups()];
    for (int g = 0; g < rating.length; g++) {
      double[] group = Arrays.copyOfRange(selection, g * size, (g + 1) * size);
      Arrays.sort(group);
      rating[g] =
          group[size - 1] + (limit.score() == GroupLimit.GroupScore.TOP2_SUM ? group[size - 2] : 0);
    }
    int[] kept = Loops.top(rating, limit.kept());
    for (int e = 0; e < selection.length; e++) {
      int group = e / size;
      if (Arrays.stream(kept).noneMatch(g -> g == group)) {
        selection[e] = limit.mask() == GroupLimit.Mask.ZERO ? 0 : Double.NEGATIVE_INFINITY;
      }
    }
  }

  /** Weights [T,E] by expert. */
  private static double[][] dense(TokenChoice r) {
    int[][] experts = indices(r.experts());
    double[][] weights = rows(r.weights());
    double[][] dense = new double[experts.length][r.expertCount()];
    for (int t = 0; t < dense.length; t++) {
      for (int j = 0; j < experts[t].length; j++) {
        dense[t][experts[t][j]] += weights[t][j];
      }
    }
    return dense;
  }

  /** Random rows behind all-equal ones and such as would overflow an exponential in F32. */
  private double[][] logits(int tokens, int experts) {
    double[][] logits = rows(normal(tokens, experts).mul(2));
    Arrays.fill(logits[0], 1.5);
    Arrays.fill(logits[1], -80);
    for (int e = 0; e < experts; e++) {
      logits[2][e] = e % 2 == 0 ? 80 : -80;
      logits[3][e] = e == experts / 2 ? 80 : -80;
    }
    return logits;
  }

  @ParameterizedTest
  @MethodSource("gatings")
  void equalsTheLoop(Gating gating) {
    int tokens = 1000;
    int[][] shapes = {{E, K}, {E, 1}, {E, E}, {60, 4}};
    for (int[] shape : shapes) {
      int experts = shape[0];
      int k = shape[1];
      GroupLimit groups = gating.groups();
      if (k > groups.kept() * (experts / groups.groups())) {
        continue;
      }
      double[] bias = random.normal(0, 0.2, DType.F64, experts).toDoubles();
      double[][] logits = logits(tokens, experts);
      TokenContext context = TokenContext.eval(1, tokens);
      LinearRouter router = identity(gating, k, bias);
      double[][] got = dense(router.route(matrix(logits), context));
      for (int t = 0; t < tokens; t++) {
        assertThat(got[t])
            .as("token %d of E = %d, k = %d", t, experts, k)
            .containsExactly(expected(gating, logits[t], bias, k), within(1e-12));
      }
      LinearRouter narrow = identity(gating, k, bias, new ParameterStore(1));
      TokenChoice r = narrow.route(matrix(logits).to(DType.F32), context);
      assertThat(r.weights().allFinite()).isTrue();
    }
  }

  /** Nearest BF16, halves to even, as a double. */
  private static double bf16(double x) {
    int bits = Float.floatToRawIntBits((float) x);
    return Float.intBitsToFloat((bits + 0x7fff + ((bits >>> 16) & 1)) & 0xffff0000);
  }

  /** Multiples of 1/16 up to {@code limit} of them. */
  private double[][] few(int rows, int columns, int limit) {
    double[][] values = rows(random.uniform(-limit, limit + 1, DType.F64, rows, columns));
    return Arrays.stream(values)
        .map(row -> Arrays.stream(row).map(v -> Math.floor(v) / 16).toArray())
        .toArray(double[][]::new);
  }

  @ParameterizedTest
  @EnumSource(Gating.Rounding.class)
  void roundsWhatItSaysToTheTypeOfX(Gating.Rounding rounding) {
    int tokens = 1000;
    int experts = 64;
    int k = 6;
    int width = 8;
    // Few digits each: sums of products are exact in F32, but not in BF16.
    double[][] w = few(experts, width, 8);
    double[][] x = few(tokens, width, 16);
    ParameterStore store = new ParameterStore(1);
    Gating gating = Gating.MIXTRAL.with(rounding);
    LinearRouter router =
        new LinearRouter(gating, width, experts, k, false, 0, Init.zeros(), store, 0);
    store.named("gate.weight").tensor().detach().copyInPlace(matrix(w));
    TokenChoice r = router.route(matrix(x).to(DType.BF16), TokenContext.eval(1, tokens));
    double[][] got = dense(r);
    int moved = 0;
    for (int t = 0; t < tokens; t++) {
      double[] exact = Loops.matvec(w, x[t]);
      double[] z =
          rounding.ofLogits() ? Arrays.stream(exact).map(GatingTest::bf16).toArray() : exact;
      double[] p = Loops.softmax(z);
      if (rounding.ofScores()) {
        p = Arrays.stream(p).map(GatingTest::bf16).toArray();
      }
      int[] chosen = Loops.top(p, k);
      double[] scores = p;
      double sum = Arrays.stream(chosen).mapToDouble(e -> scores[e]).sum();
      for (int e : chosen) {
        assertThat(got[t][e]).isCloseTo(scores[e] / sum, within(rounding.ofScores() ? 4e-3 : 1e-6));
      }
      moved += Arrays.equals(chosen, Loops.top(exact, k)) ? 0 : 1;
    }
    // Rounding makes ties, and ties go to the lower index.
    assertThat(moved > 0).isEqualTo(rounding != Gating.Rounding.NONE);
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
  void normsKeepAFiniteGradientWhereNothingIsServed() {
    for (Renormalise by :
        List.of(
            Renormalise.byNorm(2),
            new Renormalise(Renormalise.When.AFTER_DROP, Renormalise.Guard.MAX, 1e-7, 2),
            new Renormalise(Renormalise.When.AFTER_DROP, Renormalise.Guard.ADD, 1e-7, 2))) {
      Gating gating = Gating.MIXTRAL.with(by);
      Tensor scores = normal(4, 3).abs().copy().requiresGrad(true);
      Tensor kept = Tensor.of(new byte[] {1, 1, 1, 1, 0, 1, 0, 0, 1, 0, 0, 0}, 4, 3);
      Tensor weighting = normal(4, 3);
      slopes(
          "scores",
          scores,
          1e-6,
          () -> gating.weights(scores, kept.to(DType.BOOL)).mul(weighting).sum());
    }
    assertThatThrownBy(() -> Renormalise.byNorm(0.5))
        .isInstanceOf(MoeException.class)
        .hasMessage("norm 0.5 of the weights; give a finite p of at least 1");
    assertThatThrownBy(() -> Renormalise.byNorm(1 / 0.0)).isInstanceOf(MoeException.class);
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

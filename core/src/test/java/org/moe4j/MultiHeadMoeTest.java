package org.moe4j;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.RandomSource;
import org.moe4j.tensor.Tensor;

/** What S41 says splitting tokens into parts must do. */
class MultiHeadMoeTest extends InScope {
  private static final int D = 6;
  private static final int E = 4;
  private static final int H = 5;
  private static final int T = 7;

  private final ParameterStore store = wide(1);

  private static MoeConfig.Builder config(int heads, Map<String, ?> more) {
    Map<String, Object> options = new HashMap<>(more);
    options.put("heads", heads);
    return MoeConfig.builder(D, H, E, 2)
        .router("mh-moe", options)
        .form(ExpertForm.RELU)
        .init(InitScheme.T5);
  }

  private MoeLayer layer(MoeConfig config) {
    store.close();
    return new MoeLayer(config, store);
  }

  private static TokenContext eval() {
    return TokenContext.eval(1, T);
  }

  private double[][] matrixOf(String name) {
    return rows(store.named(name).tensor().detach());
  }

  private static double[][] identity(int n) {
    double[][] eye = new double[n][n];
    for (int i = 0; i < n; i++) {
      eye[i][i] = 1;
    }
    return eye;
  }

  @Test
  void oneHeadIsTheWrappedLayerBetweenTwoMatrices() {
    MoeLayer layer = layer(config(1, Map.of()).build());
    ParameterStore plain = wide(2);
    MoeLayer inner = new MoeLayer(config(1, Map.of()).router("softmax-top-k").build(), plain);
    for (String name : new String[] {"gate.weight", "experts.w_in", "experts.w_out"}) {
      plain.named(name).tensor().detach().copyInPlace(store.named(name).tensor().detach());
    }
    Tensor x = normal(T, D);
    Tensor head = store.named("heads.weight").tensor().detach();
    Tensor merge = store.named("merge.weight").tensor().detach();
    Tensor between = inner.forward(x.matmul(head.t()), eval()).output();
    same(layer.forward(x, eval()).output(), between.matmul(merge.t()), 1e-12);
    head.copyInPlace(matrix(identity(D)));
    merge.copyInPlace(matrix(identity(D)));
    assertThat(layer.forward(x, eval()).output().toDoubles())
        .containsExactly(inner.forward(x, eval()).output().toDoubles());
  }

  @Test
  void partsFollowEachOtherTokenByTokenAndComeTogetherAgain() {
    MultiHeadMoe split = new MultiHeadMoe(D, 3, false, false, store);
    store.named("heads.weight").tensor().detach().copyInPlace(matrix(identity(D)));
    store.named("merge.weight").tensor().detach().copyInPlace(matrix(identity(D)));
    double[][] x = new double[2][D];
    for (int t = 0; t < 2; t++) {
      for (int i = 0; i < D; i++) {
        x[t][i] = 10 * t + i;
      }
    }
    TokenContext context = TokenContext.eval(1, 2);
    Tensor rows = split.before(matrix(x), context);
    assertThat(rows(rows))
        .isDeepEqualTo(new double[][] {{0, 1}, {2, 3}, {4, 5}, {10, 11}, {12, 13}, {14, 15}});
    assertThat(rows(split.after(rows, rows, context))).isDeepEqualTo(x);
  }

  /** The layer token by token and part by part. */
  private double[][] loops(double[][] x, int heads, boolean residual) {
    int wide = D / heads;
    double[][] y = new double[x.length][];
    for (int t = 0; t < x.length; t++) {
      double[] mixed = Loops.matvec(matrixOf("heads.weight"), x[t]);
      double[] joined = new double[D];
      for (int h = 0; h < heads; h++) {
        double[] part = Arrays.copyOfRange(mixed, h * wide, (h + 1) * wide);
        double[] p = Loops.softmax(Loops.matvec(matrixOf("gate.weight"), part));
        for (int e : Loops.top(p, 2)) {
          double[][] in = rows(store.named("experts.w_in").tensor().detach().select(0, e));
          double[][] out = rows(store.named("experts.w_out").tensor().detach().select(0, e));
          double[] o = Loops.expert(ExpertForm.RELU, in, out, new double[0], new double[0], part);
          for (int i = 0; i < wide; i++) {
            joined[h * wide + i] += p[e] * o[i];
          }
        }
        for (int i = 0; i < wide && residual; i++) {
          joined[h * wide + i] += part[i];
        }
      }
      y[t] = Loops.matvec(matrixOf("merge.weight"), joined);
    }
    return y;
  }

  @Test
  void equalsTheLoopOverTokensAndParts() {
    for (int heads : new int[] {1, 2, 3, 6}) {
      for (boolean residual : new boolean[] {false, true}) {
        MoeLayer layer = layer(config(heads, Map.of("residual", residual)).build());
        Tensor x = normal(T, D);
        double[][] y = rows(layer.forward(x, eval()).output());
        double[][] expected = loops(rows(x), heads, residual);
        for (int t = 0; t < T; t++) {
          assertThat(y[t]).containsExactly(expected[t], within(1e-12));
        }
      }
    }
  }

  @Test
  void gradientsEqualDifferences() {
    MoeLayer layer = layer(config(3, Map.of("bias", true, "residual", true)).build());
    Tensor x = normal(T, D).requiresGrad(true);
    Tensor dy = normal(T, D);
    for (Parameter p : store.all()) {
      slopes(p.name(), p.tensor(), 1e-5, () -> layer.forward(x, eval()).output().mul(dy).sum());
    }
    slopes("x", x, 1e-5, () -> layer.forward(x, eval()).output().mul(dy).sum());
  }

  @Test
  void oneExpertIsADenseLayerOfBlockDiagonalCopies() {
    MoeConfig one =
        MoeConfig.builder(D, H, 1, 1)
            .router("mh-moe", Map.of("heads", 2))
            .form(ExpertForm.RELU)
            .init(InitScheme.T5)
            .build();
    MoeLayer layer = layer(one);
    Tensor x = normal(T, D);
    Tensor in = blocks(store.named("experts.w_in").tensor().detach().select(0, 0));
    Tensor out = blocks(store.named("experts.w_out").tensor().detach().select(0, 0));
    Tensor head = store.named("heads.weight").tensor().detach();
    Tensor merge = store.named("merge.weight").tensor().detach();
    Tensor hidden = x.matmul(head.t()).matmul(in.t()).clampMin(0);
    same(layer.forward(x, eval()).output(), hidden.matmul(out.t()).matmul(merge.t()), 1e-12);
  }

  private static Tensor blocks(Tensor w) {
    double[][] a = rows(w);
    double[][] b = new double[2 * a.length][2 * a[0].length];
    for (int i = 0; i < a.length; i++) {
      System.arraycopy(a[i], 0, b[i], 0, a[0].length);
      System.arraycopy(a[i], 0, b[a.length + i], a[0].length, a[0].length);
    }
    return matrix(b);
  }

  @Test
  void atThePapersEqualCostMultiplicationsAgreeExactlyAndParametersWithinTheirs() {
    MoeConfig base = MoeConfig.builder(768, 2048, 8, 1).build();
    long[] published = {4_718_592, 4_718_592, 4_718_592};
    int[] experts = {8, 40, 96};
    int[] hidden = {2048, 768, 512};
    double[] parameters = {37.75e6, 36.57e6, 38.93e6};
    for (int h = 1; h <= 3; h++) {
      MoeConfig config =
          h == 1
              ? base
              : MoeConfig.builder(768, hidden[h - 1], experts[h - 1], h)
                  .router("mh-moe", Map.of("heads", h))
                  .build();
      long router = 768L * experts[h - 1];
      assertThat(config.flopsPerToken() / 2 - router).isEqualTo(published[h - 1]);
      long own = 768 / h * (long) experts[h - 1];
      assertThat((double) (config.parameters() - own)).isCloseTo(parameters[h - 1], within(0.01e6));
      if (h > 1) {
        MultiHeadParity parity = MultiHeadParity.of(base, h, h);
        assertThat(parity.hidden()).isEqualTo(hidden[h - 1]);
        assertThat(parity.exactExperts()).isCloseTo(experts[h - 1], within(0.05 * experts[h - 1]));
      }
    }
  }

  @Test
  void thePapersRuleForTwoMatrices() {
    // d_moe = 4 d, top-1, h = 3: experts of width 3 d, 4 E - 1 of them.
    MoeConfig base = MoeConfig.builder(96, 384, 8, 1).form(ExpertForm.RELU).build();
    assertThat(MultiHeadParity.of(base, 3, 1)).isEqualTo(new MultiHeadParity(288, 31, 31.0));
    refused(
        () ->
            MultiHeadParity.of(MoeConfig.builder(96, 64, 8, 1).form(ExpertForm.RELU).build(), 3, 1),
        "equal cost of mh-moe");
    refused(() -> MultiHeadParity.of(base, 5, 1), "5 heads");
    refused(() -> MultiHeadParity.of(base, 3, 5), "would match");
  }

  @Test
  void countsAreThoseOfTheParameters() {
    for (boolean bias : new boolean[] {false, true}) {
      MoeConfig config = config(3, Map.of("bias", bias)).sharedExperts(1).build();
      layer(config);
      assertThat(config.parameters()).isEqualTo(store.count(p -> true));
    }
    // 3 parts of 2 experts each meet at most all 4.
    MoeConfig config = config(3, Map.of()).build();
    assertThat(config.activeParameters()).isEqualTo(config.parameters());
    assertThat(config.flopsPerToken()).isEqualTo(2 * (2 * D * D + 2 * 2 * D * H + D * E));
  }

  @Test
  void partsOfPaddingCountNowhere() {
    CapacityRule rule = new CapacityRule.Fixed(4);
    Capacity capacity = new Capacity(rule, rule, Grouping.BATCH, DropOrder.TOKEN, false);
    MoeLayer layer =
        layer(
            config(3, Map.of())
                .capacity(capacity)
                .balance(BalanceRegistry.named("switch"), 1)
                .build());
    Tensor mask = Tensor.of(new byte[] {1, 0, 1, 1, 0, 1, 1}).to(DType.BOOL);
    TokenContext context = TokenContext.train(1, T, new RandomSource(1)).withPadding(mask);
    double[][] x = rows(normal(T, D));
    MoeOutput one = layer.forward(matrix(x), context);
    x[1] = new double[] {9, 8, 7, 6, 5, 4};
    x[4] = new double[] {-9, 8, -7, 6, -5, 4};
    MoeOutput two = layer.forward(matrix(x), context);
    assertThat(one.stats().tokens()).isEqualTo(15);
    assertThat(two.stats().served()).containsExactly(one.stats().served());
    assertThat(two.balance().item()).isEqualTo(one.balance().item());
    double[][] a = rows(one.output());
    double[][] b = rows(two.output());
    for (int t : new int[] {0, 2, 3, 5, 6}) {
      assertThat(b[t]).containsExactly(a[t]);
    }
    int[][] chosen = indices(((TokenChoice) one.routing()).choices());
    for (int part = 0; part < 3; part++) {
      assertThat(chosen[3 + part]).containsOnly(-1);
    }
  }

  @Test
  void capacityCountsPartsAndADroppedPartIsZeroInItsSliceAlone() {
    CapacityRule ofCode =
        new CapacityRule.Factor(2, false, true, CapacityRule.Rounding.FLOOR, false, 1, 0);
    assertThat(ofCode.slots(3L * T, E, 2)).isEqualTo(2 * 6); // 2 ceil(21 / 4)
    CapacityRule two = new CapacityRule.Fixed(2);
    Capacity tight = new Capacity(two, two, Grouping.BATCH, DropOrder.CHOICE, false);
    MoeLayer layer = layer(config(3, Map.of()).capacity(tight).build());
    store.named("merge.weight").tensor().detach().copyInPlace(matrix(identity(D)));
    MoeOutput out = layer.forward(normal(T, D), eval());
    assertThat(out.stats().served()).containsOnly(2);
    int[][] served = indices(((TokenChoice) out.routing()).experts());
    double[][] y = rows(out.output().reshape(T * 3L, D / 3));
    int dropped = 0;
    for (int part = 0; part < T * 3; part++) {
      boolean any = Arrays.stream(served[part]).anyMatch(e -> e >= 0);
      if (!any) {
        assertThat(y[part]).containsOnly(0);
        dropped++;
      }
    }
    assertThat(dropped).isBetween(13, 17);
    assertThat(Arrays.stream(y).filter(part -> part[0] != 0).count()).isPositive();
  }

  @Test
  void theLossIsOneWherePartsAreSpreadEvenly() {
    MoeLayer layer =
        layer(
            MoeConfig.builder(8, H, 4, 1)
                .router("mh-moe", Map.of("heads", 2))
                .balance(BalanceRegistry.named("switch"), 1)
                .build());
    store.named("gate.weight").tensor().detach().copyInPlace(matrix(identity(4)));
    store.named("heads.weight").tensor().detach().copyInPlace(matrix(identity(8)));
    double[][] x = {{1, 0, 0, 0, 0, 1, 0, 0}, {0, 0, 1, 0, 0, 0, 0, 1}};
    MoeOutput out = layer.forward(matrix(x), TokenContext.train(1, 2, new RandomSource(1)));
    assertThat(out.balance().item()).isCloseTo(1, within(1e-12));
    assertThat(out.stats().asked()).containsExactly(1, 1, 1, 1);
  }

  @Test
  void anyTokenChoiceRouterWorksInside() {
    for (RouterEntry inner : RouterRegistry.entries()) {
      boolean fits =
          inner.form() == RoutingForm.TOKEN_CHOICE
              && inner.bank().isEmpty()
              && inner.surrounding().isEmpty();
      MoeConfig config =
          config(2, Map.of("inner", inner.name(), "inner-options", needed(inner)))
              .topK(inner.choices().orElse(2))
              .build();
      if (!fits) {
        refused(() -> layer(config), "mh-moe");
        refused(() -> layer(config), inner.name());
        continue;
      }
      TokenContext context =
          TokenContext.train(1, T, new RandomSource(1))
              .withIds(Tensor.of(new long[] {1, 2, 3, 4, 5, 6, 7}, T))
              .withDomains(Tensor.of(new long[] {0, 1, 0, 1, 0, 1, 0}, T));
      MoeOutput out = layer(config).forward(normal(T, D), context);
      assertThat(out.output().allFinite()).isTrue();
      assertThat(((TokenChoice) out.routing()).tokens()).isEqualTo(T * 2L);
      assertThat(config.causality()).isGreaterThanOrEqualTo(inner.causality());
      assertThat(config.parameters()).isEqualTo(store.count(p -> true));
    }
  }

  private static String needed(RouterEntry router) {
    return RouterContractTest.shape(router.name()).options().entrySet().stream()
        .map(e -> e.getKey() + "=" + e.getValue())
        .collect(Collectors.joining(","));
  }

  @Test
  void theInsideKnowsWhatTheTokensAre() {
    TokenContext context =
        TokenContext.train(2, 2, new RandomSource(1))
            .atLayer(3)
            .withIds(Tensor.of(new long[] {5, 6, 7, 8}, 4))
            .withDomains(Tensor.of(new long[] {0, 1, -1, 0}, 4))
            .withSequenceIndex(Tensor.of(new long[] {0, 0, 1, 1}, 4))
            .withPadding(Tensor.of(new byte[] {1, 1, 1, 0}).to(DType.BOOL));
    TokenContext inside = new MultiHeadMoe(D, 2, false, false, store).inside(context);
    assertThat(inside.sequences()).isEqualTo(2);
    assertThat(inside.length()).isEqualTo(4);
    assertThat(inside.layer()).isEqualTo(3);
    assertThat(inside.phase()).isEqualTo(Phase.TRAIN);
    assertThat(inside.carried()).isSameAs(context.carried());
    assertThat(inside.random()).isSameAs(context.random());
    assertThat(inside.ids().orElseThrow().toLongs()).containsExactly(5, 5, 6, 6, 7, 7, 8, 8);
    assertThat(inside.domains().orElseThrow().toLongs()).containsExactly(0, 0, 1, 1, -1, -1, 0, 0);
    assertThat(inside.sequenceIndex().orElseThrow().toLongs())
        .containsExactly(0, 0, 0, 0, 1, 1, 1, 1);
    assertThat(inside.padding().orElseThrow().to(DType.I64).toLongs())
        .containsExactly(1, 1, 1, 1, 1, 1, 0, 0);
  }

  @Test
  void innerOptionsReachTheInnerRouterAndMistakesAreRefused() {
    MoeLayer layer = layer(config(2, Map.of("inner-options", "renormalise=no, scale=2.5")).build());
    Gating gating = ((LinearRouter) layer.router()).gating();
    assertThat(gating.renormalise().when()).isEqualTo(Renormalise.When.NO);
    assertThat(gating.scale()).isEqualTo(2.5);
    refused(() -> layer(config(2, Map.of("inner-options", "scale")).build()), "\"scale\"");
    refused(
        () -> layer(config(2, Map.of("inner-options", "scal=2")).build()), "no option \"scal\"");
    refused(() -> layer(config(2, Map.of("inner", "swich")).build()), "did you mean \"switch\"");
    refused(() -> layer(config(2, Map.of("inner", "switch")).build()), "chooses exactly 1");
    refused(() -> layer(config(4, Map.of()).build()), "4 heads do not divide the width 6");
    refused(() -> layer(config(0, Map.of()).build()), "0 heads");
  }

  private static void refused(Runnable action, String message) {
    assertThatThrownBy(action::run)
        .isInstanceOf(MoeException.class)
        .hasMessageContaining(message)
        .hasMessageNotContaining("\n");
  }
}

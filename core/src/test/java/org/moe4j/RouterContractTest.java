package org.moe4j;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.RandomSource;
import org.moe4j.tensor.Tensor;

/** What every router of the registry must do; a new one is under test as soon as it is listed. */
class RouterContractTest extends InScope {
  private static final int D = 6;
  private static final int E = 8;

  static List<String> names() {
    return RouterRegistry.entries().stream().map(RouterEntry::name).toList();
  }

  /** The number of choices this router makes when {@code k} are asked for. */
  private static int choices(String router, int k) {
    String promised = RouterRegistry.named(router).taxonomy().choices();
    return promised.equals("n") || promised.equals("variable") ? k : Integer.parseInt(promised);
  }

  private static boolean refused(String router, int experts, int k) {
    return choices(router, k) > experts;
  }

  private static MoeLayer layer(String router, int experts, int k, Dispatch how) {
    MoeConfig config =
        MoeConfig.builder(D, 4, experts, choices(router, k))
            .router(router)
            .dispatch(how)
            .init(InitScheme.T5)
            .build();
    return new MoeLayer(config, store(), 5);
  }

  private static ParameterStore store() {
    return wide(2);
  }

  /** The router over F64 parameters, with gates that are not zero. */
  private static Router router(String name, int experts, int k, ParameterStore store) {
    MoeConfig config =
        MoeConfig.builder(D, 4, experts, choices(name, k)).router(name).init(InitScheme.T5).build();
    Router router = new MoeLayer(config, store, 5).router();
    RandomSource r = new RandomSource(8);
    for (Parameter p : store.all()) {
      if (p.role() instanceof Role.Gate) {
        p.tensor().detach().copyInPlace(r.normal(0, 1, DType.F64, p.tensor().shape()));
      }
    }
    return router;
  }

  private static TokenContext train(long b, long s) {
    return TokenContext.train(b, s, new RandomSource(21));
  }

  /** Any routing as dense weights [T][E]; the forms that tokens do not choose are summed. */
  private static double[][] dense(Routing routing, int tokens) {
    double[][] out = new double[tokens][routing.expertCount()];
    switch (routing) {
      case TokenChoice r -> {
        int[][] experts = indices(r.experts());
        double[][] weights = rows(r.weights());
        for (int t = 0; t < tokens; t++) {
          for (int j = 0; j < experts[t].length; j++) {
            if (experts[t][j] >= 0) {
              out[t][experts[t][j]] += weights[t][j];
            }
          }
        }
      }
      case ExpertChoice r -> {
        int[][] chosen = indices(r.tokens());
        double[][] weights = rows(r.weights());
        for (int e = 0; e < chosen.length; e++) {
          for (int c = 0; c < chosen[e].length; c++) {
            if (chosen[e][c] >= 0) {
              out[chosen[e][c]][e] += weights[e][c];
            }
          }
        }
      }
      case Blend.Dense r -> out = rows(r.weights());
      case Blend.Slots r -> throw new AssertionError("slots have no weights per expert");
      case Retrieval r -> throw new AssertionError("a retrieval is never dense");
    }
    return out;
  }

  private static void equal(double[][] actual, double[][] expected, double tolerance) {
    assertThat(actual.length).isEqualTo(expected.length);
    for (int t = 0; t < actual.length; t++) {
      assertThat(actual[t]).as("token %d", t).containsExactly(expected[t], within(tolerance));
    }
  }

  @ParameterizedTest
  @MethodSource("names")
  void shapesIndicesAndSumsAreAsPromised(String name) {
    for (int k : new int[] {1, 2, E}) {
      for (int experts : new int[] {1, 2, E}) {
        if (refused(name, experts, k)) {
          assertThatThrownBy(() -> router(name, experts, k, store()))
              .isInstanceOf(MoeException.class);
          continue;
        }
        Router router = router(name, experts, k, store());
        for (TokenContext context : List.of(train(3, 4), TokenContext.eval(3, 4))) {
          Routing routing = router.route(normal(12, D), context);
          assertThat(routing.expertCount()).isEqualTo(experts);
          if (routing instanceof TokenChoice r) {
            tokenChoiceIsSound(r, choices(name, k));
          }
          for (double[] row : dense(routing, 12)) {
            assertThat(Arrays.stream(row)).allMatch(Double::isFinite);
          }
        }
      }
    }
  }

  private static void tokenChoiceIsSound(TokenChoice r, int k) {
    assertThat(r.experts().shape()).containsExactly(12, k);
    assertThat(r.weights().shape()).containsExactly(12, k);
    Gating g = r.gating();
    boolean softmaxOverChosen =
        g.order() == Gating.Order.SELECT_THEN_SCORE && g.score() == Gating.Score.SOFTMAX;
    boolean one = g.renormalise().when() != Renormalise.When.NO || softmaxOverChosen;
    int[][] chosen = indices(r.experts());
    double[][] weights = rows(r.weights());
    for (int t = 0; t < 12; t++) {
      int[] served = Arrays.stream(chosen[t]).filter(e -> e >= 0).toArray();
      assertThat(served).doesNotHaveDuplicates();
      assertThat(Arrays.stream(served)).allMatch(e -> e < r.expertCount());
      double sum = Arrays.stream(weights[t]).sum();
      if (one && served.length == k) {
        assertThat(sum).isCloseTo(g.scale(), within(1e-6));
      } else if (g.score() == Gating.Score.SOFTMAX) {
        assertThat(sum).isBetween(0.0, g.scale() * (1 + 1e-9));
      }
    }
  }

  @ParameterizedTest
  @MethodSource("names")
  void evaluationIsDeterministicAndTrainingReproducible(String name) {
    Router router = router(name, E, 2, store());
    Tensor x = normal(12, D);
    TokenContext eval = TokenContext.eval(3, 4);
    equal(dense(router.route(x, eval), 12), dense(router.route(x, eval), 12), 0);
    equal(dense(router.route(x, train(3, 4)), 12), dense(router.route(x, train(3, 4)), 12), 0);
  }

  @ParameterizedTest
  @MethodSource("names")
  void anEmptyBatchIsRouted(String name) {
    for (Dispatch how : Dispatch.values()) {
      MoeOutput out = layer(name, E, 2, how).forward(normal(0, 4, D), train(0, 4));
      assertThat(out.output().shape()).containsExactly(0, 4, D);
      assertThat(out.stats().tokens()).isZero();
    }
  }

  /** Rows of +-{@code scale}; 0 makes all logits equal. */
  private Tensor signs(double scale) {
    Tensor positive = normal(12, D).gt(0).to(DType.F64);
    return positive.mul(2 * scale).sub(scale).detach();
  }

  @ParameterizedTest
  @MethodSource("names")
  void extremeInputsGiveFiniteWeightsAndGradients(String name) {
    for (double scale : new double[] {0, 80}) {
      for (Dispatch how : Dispatch.values()) {
        MoeLayer layer = layer(name, E, 2, how);
        Tensor x = signs(scale).requiresGrad(true);
        MoeOutput out = layer.forward(x, train(3, 4));
        assertThat(out.output().allFinite()).isTrue();
        out.output().sum().add(out.balance()).backward();
        assertThat(x.grad().orElseThrow().allFinite()).isTrue();
      }
    }
  }

  @ParameterizedTest
  @MethodSource("names")
  void notANumberIsRefusedWithItsToken(String name) {
    Router router = router(name, E, 2, store());
    for (double bad : new double[] {Double.NaN, Double.POSITIVE_INFINITY}) {
      double[] x = normal(12, D).toDoubles();
      x[7 * D + 2] = bad;
      assertThatThrownBy(() -> router.route(Tensor.of(x, 12, D), TokenContext.eval(3, 4)))
          .isInstanceOf(MoeException.class)
          .hasMessageContaining("token 7")
          .hasMessageNotContaining("\n");
    }
  }

  @ParameterizedTest
  @MethodSource("names")
  void aPerTokenRouterSeesNeitherLaterTokensNorOtherSequences(String name) {
    if (RouterRegistry.named(name).causality() != Causality.PER_TOKEN) {
      return;
    }
    Router router = router(name, E, 2, store());
    double[][] x = rows(normal(12, D));
    double[][] all = dense(router.route(matrix(x), TokenContext.decode(1, 12)), 12);
    double[][] changed = x.clone();
    for (int t = 6; t < 12; t++) {
      changed[t] = rows(normal(1, D))[0];
    }
    double[][] prefix = Arrays.copyOf(all, 6);
    double[][] later = dense(router.route(matrix(changed), TokenContext.decode(1, 12)), 12);
    equal(Arrays.copyOf(later, 6), prefix, 1e-12);
    equal(
        dense(router.route(matrix(Arrays.copyOf(x, 6)), TokenContext.decode(1, 6)), 6),
        prefix,
        1e-12);
    List<double[]> joined = new ArrayList<>(Arrays.asList(rows(normal(12, D))));
    joined.addAll(Arrays.asList(x));
    double[][] both =
        dense(
            router.route(matrix(joined.toArray(new double[0][])), TokenContext.decode(2, 12)), 24);
    equal(Arrays.copyOfRange(both, 12, 24), all, 1e-12);
  }

  @ParameterizedTest
  @MethodSource("names")
  void relabelledExpertsAreRelabelledInTheRouting(String name) {
    ParameterStore store = store();
    Router router = router(name, E, 2, store);
    Tensor x = normal(12, D);
    TokenContext context = TokenContext.eval(3, 4);
    double[][] before = dense(router.route(x, context), 12);
    int[] order = {3, 0, 7, 1, 6, 2, 5, 4};
    Tensor index = Tensor.of(Arrays.stream(order).asLongStream().toArray());
    for (Parameter p : store.all()) {
      if (p.role() instanceof Role.Gate) {
        p.tensor().detach().copyInPlace(p.tensor().detach().indexSelect(0, index));
      }
    }
    double[][] after = dense(router.route(x, context), 12);
    for (int t = 0; t < 12; t++) {
      for (int e = 0; e < E; e++) {
        assertThat(after[t][e]).isCloseTo(before[t][order[e]], within(1e-12));
      }
    }
  }

  @ParameterizedTest
  @MethodSource("names")
  void paddingIsServedByNobodyAndChangesNothing(String name) {
    Router router = router(name, E, 2, store());
    byte[] real = {1, 1, 0, 1, 1, 1, 1, 0, 1, 1, 1, 0};
    TokenContext context = TokenContext.eval(3, 4).withPadding(Tensor.of(real).to(DType.BOOL));
    double[][] x = rows(normal(12, D));
    double[][] before = dense(router.route(matrix(x), context), 12);
    for (int t = 0; t < 12; t++) {
      if (real[t] == 0) {
        assertThat(before[t]).containsOnly(0);
        x[t] = rows(normal(1, D))[0];
      }
    }
    equal(dense(router.route(matrix(x), context), 12), before, 0);
  }

  @ParameterizedTest
  @MethodSource("names")
  void allDispatchersGiveTheSameLayer(String name) {
    Tensor x = normal(12, D);
    Tensor reference = layer(name, E, 2, Dispatch.ONE_HOT).forward(x, train(3, 4)).output();
    for (Dispatch how : Dispatch.values()) {
      same(layer(name, E, 2, how).forward(x, train(3, 4)).output(), reference, 1e-10);
    }
  }

  @ParameterizedTest
  @MethodSource("names")
  void theEntryIsCompleteAndCountsItsParameters(String name) {
    RouterEntry entry = RouterRegistry.named(name);
    assertThat(entry.paper()).matches("S\\d\\d");
    assertThat(entry.description()).isNotBlank().doesNotContain("\n");
    assertThat(entry.taxonomy().values()).hasSize(12);
    assertThat(entry.options()).allSatisfy(o -> assertThat(o.doc()).isNotBlank());
    ParameterStore store = store();
    MoeConfig config =
        MoeConfig.builder(D, 4, E, choices(name, 2)).router(name).sharedExperts(1).build();
    new MoeLayer(config, store, 0);
    assertThat(config.parameters()).isEqualTo(store.count(p -> true));
    assertThatCode(() -> Validity.check(config, Validity.Use.ENCODER, false))
        .doesNotThrowAnyException();
  }
}

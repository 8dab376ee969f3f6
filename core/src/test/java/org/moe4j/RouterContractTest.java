package org.moe4j;

import static java.util.Map.entry;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.stream.IntStream;
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

  /**
   * A size at which a router is tested where the usual one does not suit it.
   *
   * @param experts E, a number that no other dimension of its gate has
   * @param small other numbers of experts to try
   * @param options it needs
   */
  record Shape(int experts, int[] small, Map<String, Object> options) {}

  private static final Shape USUAL = new Shape(E, new int[] {1, 2}, Map.of());

  /** Routers that need another shape. */
  private static final Map<String, Shape> SHAPES =
      Map.ofEntries(
          // Twelve tokens must spread evenly.
          entry("base", new Shape(4, new int[] {1, 2}, Map.of())),
          // Its heads divide the width.
          entry("mh-moe", new Shape(E, new int[] {1, 2}, Map.of("heads", 2))),
          entry("hash", new Shape(E, new int[] {1, 2}, Map.of("vocab", 11))),
          entry("hash-ngram", new Shape(E, new int[] {1, 2}, Map.of("vocab", 11))),
          entry("hash-future", new Shape(E, new int[] {1, 2}, Map.of("vocab", 11))),
          // Segments divide the width 6 and the expert width 4.
          entry("multi-hash", new Shape(2, new int[] {1}, Map.of("vocab", 11))),
          // The tests' domains are 0 and 1.
          entry("demix", new Shape(E, new int[] {2}, Map.of())),
          // Top-k is 1 or 2.
          entry("mocle", new Shape(2, new int[] {1}, Map.of("embedding", 7))),
          // One expert's logits have no deviation.
          entry("skywork", new Shape(E, new int[] {2}, Map.of())),
          // All numbers of choices need all groups, and a capacity excludes its own drops.
          entry(
              "deepseek-v2",
              new Shape(
                  E, new int[] {2}, Map.of("groups", 2, "kept-groups", 2, "device-capacity", 0))),
          // A width of 6 can be halved once; two experts cost at least half of the whole.
          entry("mone", new Shape(2, new int[] {1}, Map.of("budget", 0.75))),
          // Product keys: a square number.
          entry("peer", new Shape(16, new int[] {1, 4}, Map.of("heads", 3))),
          entry("pkm", new Shape(16, new int[] {1, 4}, Map.of("heads", 3))));

  /** Routers whose experts are told apart by place, not by a row of weights alone, with the why. */
  private static final Map<String, String> PLACED =
      Map.ofEntries(
          entry("hierarchical", "an expert belongs to the group at its place"),
          entry("dselect-k", "an expert's place is its binary code"),
          entry("hash", "its table names experts by number"),
          entry("hash-ngram", "a remainder is the expert's number"),
          entry("hash-future", "a remainder is the expert's number"),
          entry("multi-hash", "its tables name experts by number"),
          entry("demix", "domain j is expert j's"),
          entry("mocle", "the last expert is the universal one"),
          entry("moma", "an expert's number says which modality it serves"),
          entry("mone", "an expert's number says how wide it is"),
          entry("peer", "an expert's number is a pair of sub-keys"),
          entry("pkm", "an expert's number is a pair of sub-keys"));

  /** Routers that may send a token to an expert twice, with the why. */
  private static final Map<String, String> REPEATS =
      Map.of("swipe", "a refused choice goes where there is room, maybe beside the other one");

  static Shape shape(String router) {
    return SHAPES.getOrDefault(router, USUAL);
  }

  /** The number of choices this router makes when {@code k} are asked for. */
  private static int choices(String router, int k) {
    return RouterRegistry.named(router).choices().orElse(k);
  }

  static MoeConfig.Builder config(String router, int experts, int k) {
    return MoeConfig.builder(D, 4, experts, choices(router, k))
        .router(router, shape(router).options())
        .init(InitScheme.T5);
  }

  private static boolean refused(String router, int experts, int k) {
    return choices(router, k) > experts;
  }

  private static MoeLayer layer(String router, int k, Dispatch how) {
    return new MoeLayer(
        config(router, shape(router).experts(), k).dispatch(how).build(), store(), 5);
  }

  private static ParameterStore store() {
    return wide(2);
  }

  /** The width of the rows that the router itself sees. */
  private static int width(String name) {
    return config(name, shape(name).experts(), 2).build().inside().width();
  }

  private static Router router(String name, ParameterStore store) {
    return router(name, shape(name).experts(), 2, store);
  }

  /** The router over F64 parameters, with gates that are not zero. */
  private static Router router(String name, int experts, int k, ParameterStore store) {
    Router router = new MoeLayer(config(name, experts, k).build(), store, 5).router();
    RandomSource r = new RandomSource(8);
    for (Parameter p : store.all()) {
      if (p.role() instanceof Role.Gate) {
        p.tensor().detach().copyInPlace(r.normal(0, 1, DType.F64, p.tensor().shape()));
      }
    }
    return router;
  }

  static TokenContext train(long b, long s) {
    return known(TokenContext.train(b, s, new RandomSource(21)));
  }

  private static TokenContext eval(long b, long s) {
    return known(TokenContext.eval(b, s));
  }

  private static TokenContext decode(long b, long s) {
    return known(TokenContext.decode(b, s));
  }

  /** With ids and domains that depend on the place in the sequence alone. */
  private static TokenContext known(TokenContext context) {
    int tokens = (int) context.tokens();
    long[] ids = new long[tokens];
    long[] domains = new long[tokens];
    for (int t = 0; t < tokens; t++) {
      long place = t % context.length();
      ids[t] = (place * 5 + 3) % 11;
      domains[t] = place % 2;
    }
    return context.withIds(Tensor.of(ids, tokens)).withDomains(Tensor.of(domains, tokens));
  }

  /** Any routing as dense weights [T][E]; the forms that tokens do not choose are summed. */
  private static double[][] dense(Routing routing, int tokens) {
    double[][] out = new double[tokens][routing.expertCount()];
    switch (routing) {
      case TokenChoice r -> scatter(out, r.experts(), r.weights());
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
      case Blend.Slots r -> {
        double[][] combine = rows(r.combine().reshape(tokens, r.combine().size(2)));
        int perExpert = combine.length == 0 ? 1 : combine[0].length / r.expertCount();
        for (int t = 0; t < combine.length; t++) {
          for (int slot = 0; slot < combine[t].length; slot++) {
            out[t][slot / perExpert] += combine[t][slot];
          }
        }
      }
      case Retrieval r -> scatter(out, r.ids(), r.weights());
    }
    return out;
  }

  private static void scatter(double[][] out, Tensor ids, Tensor w) {
    int[][] experts = indices(ids);
    double[][] weights = rows(w);
    for (int t = 0; t < out.length; t++) {
      for (int j = 0; j < experts[t].length; j++) {
        if (experts[t][j] >= 0) {
          out[t][experts[t][j]] += weights[t][j];
        }
      }
    }
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
    int[] sizes =
        IntStream.concat(Arrays.stream(shape(name).small()), IntStream.of(shape(name).experts()))
            .toArray();
    for (int experts : sizes) {
      for (int k : new int[] {1, 2, experts}) {
        if (refused(name, experts, k)) {
          assertThatThrownBy(() -> router(name, experts, k, store()))
              .isInstanceOf(MoeException.class);
          continue;
        }
        Router router = router(name, experts, k, store());
        for (TokenContext context : List.of(train(3, 4), eval(3, 4))) {
          Routing routing = router.route(normal(12, width(name)), context);
          assertThat(routing.expertCount()).isEqualTo(experts);
          if (context.training()) {
            assertThat(form(routing)).isEqualTo(RouterRegistry.named(name).form());
          }
          if (routing instanceof TokenChoice r) {
            tokenChoiceIsSound(r, REPEATS.containsKey(name));
          }
          for (double[] row : dense(routing, 12)) {
            assertThat(Arrays.stream(row)).allMatch(Double::isFinite);
          }
        }
      }
    }
  }

  private static RoutingForm form(Routing routing) {
    return switch (routing) {
      case TokenChoice r -> RoutingForm.TOKEN_CHOICE;
      case ExpertChoice r -> RoutingForm.EXPERT_CHOICE;
      case Blend.Dense r -> RoutingForm.DENSE;
      case Blend.Slots r -> RoutingForm.SLOTS;
      case Retrieval r -> RoutingForm.RETRIEVAL;
    };
  }

  private static void tokenChoiceIsSound(TokenChoice r, boolean repeats) {
    int k = r.k();
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
      if (!repeats) {
        assertThat(served).doesNotHaveDuplicates();
      }
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
    Router router = router(name, store());
    Tensor x = normal(12, width(name));
    TokenContext eval = eval(3, 4);
    equal(dense(router.route(x, eval), 12), dense(router.route(x, eval), 12), 0);
    equal(dense(router.route(x, train(3, 4)), 12), dense(router.route(x, train(3, 4)), 12), 0);
  }

  @ParameterizedTest
  @MethodSource("names")
  void anEmptyBatchIsRouted(String name) {
    for (Dispatch how : Dispatch.values()) {
      MoeOutput out = layer(name, 2, how).forward(normal(0, 4, D), train(0, 4));
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
        MoeLayer layer = layer(name, 2, how);
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
    Router router = router(name, store());
    for (double bad : new double[] {Double.NaN, Double.POSITIVE_INFINITY}) {
      double[] x = normal(12, width(name)).toDoubles();
      x[7 * width(name) + 2] = bad;
      assertThatThrownBy(() -> router.route(Tensor.of(x, 12, width(name)), eval(3, 4)))
          .isInstanceOf(MoeException.class)
          .hasMessageContaining("token 7")
          .hasMessageNotContaining("\n");
    }
  }

  @ParameterizedTest
  @MethodSource("names")
  void decodingSeesNeitherLaterTokensNorOtherSequences(String name) {
    if (!RouterRegistry.named(name).causality().decodes()) {
      MoeLayer layer = layer(name, 2, Dispatch.ONE_HOT);
      assertThatThrownBy(() -> layer.forward(normal(12, D), decode(1, 12)))
          .isInstanceOf(MoeException.class)
          .hasMessageContaining(name);
      return;
    }
    Router router = router(name, store());
    double[][] x = rows(normal(12, width(name)));
    double[][] all = dense(router.route(matrix(x), decode(1, 12)), 12);
    double[][] changed = x.clone();
    for (int t = 6; t < 12; t++) {
      changed[t] = rows(normal(1, width(name)))[0];
    }
    double[][] prefix = Arrays.copyOf(all, 6);
    double[][] later = dense(router.route(matrix(changed), decode(1, 12)), 12);
    equal(Arrays.copyOf(later, 6), prefix, 1e-12);
    equal(dense(router.route(matrix(Arrays.copyOf(x, 6)), decode(1, 6)), 6), prefix, 1e-12);
    List<double[]> joined = new ArrayList<>(Arrays.asList(rows(normal(12, width(name)))));
    joined.addAll(Arrays.asList(x));
    double[][] both =
        dense(router.route(matrix(joined.toArray(new double[0][])), decode(2, 12)), 24);
    equal(Arrays.copyOfRange(both, 12, 24), all, 1e-12);
  }

  @ParameterizedTest
  @MethodSource("names")
  void relabelledExpertsAreRelabelledInTheRouting(String name) {
    if (PLACED.containsKey(name)) {
      return;
    }
    int experts = shape(name).experts();
    ParameterStore store = store();
    Router router = router(name, store);
    Tensor x = normal(12, width(name));
    TokenContext context = eval(3, 4);
    double[][] before = dense(router.route(x, context), 12);
    List<Integer> shuffled = new ArrayList<>(IntStream.range(0, experts).boxed().toList());
    Collections.shuffle(shuffled, new Random(4));
    int[] order = shuffled.stream().mapToInt(i -> i).toArray();
    Tensor index = Tensor.of(Arrays.stream(order).asLongStream().toArray());
    for (Parameter p : store.all()) {
      if (p.role() instanceof Role.Gate || p.role() instanceof Role.State) {
        Tensor values = p.tensor().detach();
        for (int dim = 0; dim < values.dim(); dim++) {
          if (values.size(dim) == experts) {
            values.copyInPlace(values.indexSelect(dim, index));
          }
        }
      }
    }
    double[][] after = dense(router.route(x, context), 12);
    for (int t = 0; t < 12; t++) {
      for (int e = 0; e < experts; e++) {
        assertThat(after[t][e]).isCloseTo(before[t][order[e]], within(1e-12));
      }
    }
  }

  @ParameterizedTest
  @MethodSource("names")
  void paddingIsServedByNobodyAndChangesNothing(String name) {
    Router router = router(name, store());
    byte[] real = {1, 1, 0, 1, 1, 1, 1, 0, 1, 1, 1, 0};
    TokenContext context = eval(3, 4).withPadding(Tensor.of(real).to(DType.BOOL));
    double[][] x = rows(normal(12, width(name)));
    double[][] before = dense(router.route(matrix(x), context), 12);
    for (int t = 0; t < 12; t++) {
      if (real[t] == 0) {
        assertThat(before[t]).containsOnly(0);
        x[t] = rows(normal(1, width(name)))[0];
      }
    }
    equal(dense(router.route(matrix(x), context), 12), before, 0);
  }

  @ParameterizedTest
  @MethodSource("names")
  void allDispatchersGiveTheSameLayer(String name) {
    Tensor x = normal(12, D);
    Tensor reference = layer(name, 2, Dispatch.ONE_HOT).forward(x, train(3, 4)).output();
    for (Dispatch how : Dispatch.values()) {
      same(layer(name, 2, how).forward(x, train(3, 4)).output(), reference, 1e-10);
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
    MoeConfig config = config(name, shape(name).experts(), 2).sharedExperts(1).build();
    new MoeLayer(config, store, 0);
    assertThat(config.parameters()).isEqualTo(store.count(p -> true));
    assertThatCode(() -> Validity.check(config, Validity.Use.ENCODER, false))
        .doesNotThrowAnyException();
  }
}

package org.moe4j;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.RandomSource;
import org.moe4j.tensor.Tensor;

/** The router that is recurrent over layers (S55). */
class RecurrentRouterTest extends InScope {
  private static final int D = 5;
  private static final int E = 4;
  private static final int P = 3;
  private static final int T = 6;

  private static MoeConfig config(Object... pairs) {
    Map<String, Object> options = new HashMap<>(Map.of("state-width", P));
    for (int i = 0; i < pairs.length; i += 2) {
      options.put((String) pairs[i], pairs[i + 1]);
    }
    return MoeConfig.builder(D, 4, E, 2).router("rmoe", options).init(InitScheme.T5).build();
  }

  /** Routers of a model's layers, numbered with gaps as if dense layers lay between. */
  private static List<Router> layers(int n, ParameterStore store, MoeConfig config) {
    return new ArrayList<>(
        IntStream.range(0, n)
            .mapToObj(i -> new MoeLayer(config, store.under("layers." + 2 * i), 2 * i).router())
            .toList());
  }

  private static Tensor logits(Router router, Tensor x, TokenContext context) {
    return router.route(x, context).evidence().logits().orElseThrow();
  }

  /** The logits of the last of these layers, each of which has its own input. */
  private static Tensor last(List<Router> layers, List<Tensor> inputs, TokenContext context) {
    Tensor out = inputs.getFirst();
    for (int i = 0; i < layers.size(); i++) {
      out = logits(layers.get(i), inputs.get(i), context);
    }
    return out;
  }

  private List<Tensor> inputs(int n) {
    return IntStream.range(0, n).mapToObj(i -> normal(T, D)).toList();
  }

  /** Reference values of torch's GRUCell and RNNCell (2.13, F64) with the same packed weights. */
  @Test
  void theCellsAreTorchs() {
    ParameterStore store = wide(1);
    RecurrentCell gru = new RecurrentCell(RecurrentCell.Kind.GRU, 2, Init.zeros(), store, 0);
    double[] in = IntStream.range(0, 12).mapToDouble(i -> i * 0.1 - 0.5).toArray();
    double[] state = IntStream.range(0, 12).mapToDouble(i -> (11 - i) * 0.07 - 0.4).toArray();
    double[] inBias = {0.1, -0.2, 0.3, -0.4, 0.5, -0.6};
    double[] stateBias = {-0.3, 0.25, 0.15, 0.05, -0.1, 0.2};
    copy(store, "weight_ih", Tensor.of(in, 6, 2));
    copy(store, "weight_hh", Tensor.of(state, 6, 2));
    copy(store, "bias_ih", Tensor.of(inBias));
    copy(store, "bias_hh", Tensor.of(stateBias));
    Tensor x = matrix(new double[][] {{0.7, -1.1}, {2.0, 0.3}});
    Tensor h = matrix(new double[][] {{0.4, -0.9}, {-0.2, 0.8}});
    assertThat(gru.next(x, h).toDoubles())
        .containsExactly(
            new double[] {
              0.3547290496738895, -0.720297659170445, 0.24685894035056533, 0.6411594280286558
            },
            within(1e-12));
    ParameterStore plain = wide(1);
    RecurrentCell rnn = new RecurrentCell(RecurrentCell.Kind.RNN, 2, Init.zeros(), plain, 0);
    copy(plain, "weight_ih", Tensor.of(Arrays.copyOf(in, 4), 2, 2));
    copy(plain, "weight_hh", Tensor.of(Arrays.copyOf(state, 4), 2, 2));
    copy(plain, "bias_ih", Tensor.of(Arrays.copyOf(inBias, 2)));
    copy(plain, "bias_hh", Tensor.of(Arrays.copyOf(stateBias, 2)));
    assertThat(rnn.next(x, h).toDoubles())
        .containsExactly(
            new double[] {
              -0.227925314582793, 0.007999829337702265, -0.8190748636863349, -0.4838507967005483
            },
            within(1e-12));
  }

  private static void copy(ParameterStore store, String name, Tensor values) {
    store.named("router_rnn." + name).tensor().detach().copyInPlace(values);
  }

  @Test
  void threeLayersAreTheRecurrenceOverDepth() {
    ParameterStore store = wide(1);
    List<Router> layers = layers(3, store, config());
    List<Tensor> x = inputs(3);
    TokenContext context = TokenContext.eval(2, T / 2);
    RecurrentCell cell = new RecurrentCell(RecurrentCell.Kind.GRU, P, Init.zeros(), store, 0);
    Tensor state = normal(T, P).mul(0);
    for (int i = 0; i < 3; i++) {
      String at = "layers." + 2 * i + ".gate.";
      Tensor in = x.get(i).mm(store.named(at + "projection").tensor().t());
      state = cell.next(in, state);
      Tensor z = state.mm(store.named(at + "weight").tensor().t());
      TokenChoice r = (TokenChoice) layers.get(i).route(x.get(i), context);
      same(r.evidence().logits().orElseThrow(), z, 1e-12);
      for (int t = 0; t < T; t++) {
        double[] p = Loops.softmax(rows(z)[t]);
        int[] top = Loops.top(p, 2);
        assertThat(indices(r.experts())[t]).containsExactly(top);
        assertThat(rows(r.weights())[t])
            .containsExactly(new double[] {p[top[0]], p[top[1]]}, within(1e-12));
      }
    }
  }

  @Test
  void theCodesWeightsSumToOne() {
    Router router = layers(1, wide(1), config("renormalise", "before-drop")).getFirst();
    TokenChoice r = (TokenChoice) router.route(normal(T, D), TokenContext.eval(1, T));
    for (double[] w : rows(r.weights())) {
      assertThat(Arrays.stream(w).sum()).isCloseTo(1, within(1e-12));
    }
  }

  @Test
  void tokensStayApart() {
    List<Router> layers = layers(3, wide(1), config());
    List<Tensor> x = inputs(3);
    Tensor all = last(layers, x, TokenContext.eval(1, T));
    Tensor order = Tensor.of(new long[] {3, 0, 5, 1, 4, 2});
    List<Tensor> shuffled = x.stream().map(v -> v.indexSelect(0, order)).toList();
    same(last(layers, shuffled, TokenContext.eval(1, T)), all.indexSelect(0, order), 1e-12);
    for (int t = 0; t < T; t++) {
      int at = t;
      List<Tensor> one = x.stream().map(v -> v.narrow(0, at, 1)).toList();
      same(last(layers, one, TokenContext.decode(1, 1)), all.narrow(0, t, 1), 1e-12);
    }
  }

  @Test
  void aContextThatServesTwicePassesNothingOn() {
    List<Router> layers = layers(2, wide(1), config());
    List<Tensor> x = inputs(2);
    TokenContext context = TokenContext.eval(1, T);
    double[] first = last(layers, x, context).toDoubles();
    assertThat(last(layers, x, context).toDoubles()).isEqualTo(first);
  }

  /** The input of the second layer is held, so its logits see the first one by the state alone. */
  @Test
  void theGradientGoesThroughTheStateUnlessDetached() {
    for (String passing : List.of("recurrent", "detached", "none")) {
      ParameterStore store = wide(1);
      List<Router> layers = layers(2, store, config("passing", passing));
      last(layers, inputs(2), TokenContext.eval(1, T)).mul(normal(T, E)).sum().backward();
      Tensor projection = store.named("layers.0.gate.projection").tensor();
      boolean reached =
          projection
              .grad()
              .map(g -> Arrays.stream(g.toDoubles()).anyMatch(v -> v != 0))
              .orElse(false);
      assertThat(reached).as(passing).isEqualTo(passing.equals("recurrent"));
      assertThat(store.named("router_rnn.weight_ih").tensor().grad()).isPresent();
    }
  }

  @Test
  void slopesOverThreeLayers() {
    ParameterStore store = wide(1);
    List<Router> layers = layers(3, store, config());
    List<Tensor> x = inputs(3);
    Tensor direction = normal(T, E);
    for (String name :
        List.of(
            "layers.0.gate.projection",
            "router_rnn.weight_ih",
            "router_rnn.weight_hh",
            "router_rnn.bias_hh",
            "layers.4.gate.weight")) {
      slopes(
          name,
          store.named(name).tensor(),
          1e-6,
          () -> last(layers, x, TokenContext.eval(1, T)).mul(direction).sum());
    }
  }

  @Test
  void withoutPassingTheLayerBelowDoesNotMatter() {
    for (String passing : List.of("recurrent", "none")) {
      ParameterStore store = wide(1);
      List<Router> layers = layers(2, store, config("passing", passing));
      List<Tensor> x = inputs(2);
      double[] before = last(layers, x, TokenContext.eval(1, T)).toDoubles();
      store.named("layers.0.gate.projection").tensor().detach().addInPlace(0.5);
      double[] after = last(layers, x, TokenContext.eval(1, T)).toDoubles();
      assertThat(Arrays.equals(after, before)).isEqualTo(passing.equals("none"));
    }
  }

  @Test
  void theCellIsSharedAndCountedOnce() {
    for (String cell : List.of("gru", "rnn")) {
      for (boolean projection : new boolean[] {false, true}) {
        MoeConfig config = config("cell", cell, "shared-projection", projection);
        ParameterStore store = wide(1);
        layers(3, store, config);
        long experts = config.parameters() - config.routerEntry().parameters().applyAsLong(config);
        long gates = store.count(p -> true) - 3 * experts;
        long own = 3L * E * P + (projection ? 1L : 3L) * P * D;
        assertThat(gates).isEqualTo(own + (cell.equals("gru") ? 6L : 2L) * (P * P + P));
        assertThat(3 * config.parameters() - 2 * config.commonParameters())
            .isEqualTo(store.count(p -> true));
      }
    }
  }

  @Test
  void theStateOfABf16ModelIsF32AndDoesNotDrift() {
    ParameterStore narrow = new ParameterStore(1);
    ParameterStore wide = wide(1);
    List<Router> routers = layers(24, narrow, config());
    List<Router> exact = layers(24, wide, config());
    wide.all().forEach(p -> p.tensor().detach().copyInPlace(narrow.named(p.name()).tensor()));
    TokenContext context = TokenContext.eval(1, T);
    TokenContext other = TokenContext.eval(1, T);
    for (int i = 0; i < 24; i++) {
      Tensor x = normal(T, D).to(DType.BF16);
      Tensor z = logits(routers.get(i), x, context);
      assertThat(z.dtype()).isEqualTo(DType.F32);
      same(z.to(DType.F64), logits(exact.get(i), x.to(DType.F64), other), 1e-5);
    }
  }

  @Test
  void theBalanceLossTrainsTheCell() {
    ParameterStore store = wide(1);
    Router router = layers(1, store, config()).getFirst();
    TokenContext context = TokenContext.train(1, T, new RandomSource(1));
    Balance loss = BalanceRegistry.named("mixtral");
    loss.loss(router.route(normal(T, D), context), context).backward();
    double[] g = store.named("router_rnn.weight_ih").tensor().grad().orElseThrow().toDoubles();
    assertThat(Arrays.stream(g).anyMatch(v -> v != 0)).isTrue();
    store.named("layers.0.gate.weight").tensor().detach().fillInPlace(0);
    // All probabilities equal: 1/E each, so E sum f / E = k whatever is chosen.
    assertThat(loss.loss(router.route(normal(T, D), context), context).item())
        .isCloseTo(2, within(1e-12));
  }

  @Test
  void whatDoesNotFitIsRefused() {
    assertThatThrownBy(() -> layers(1, wide(1), config("state-width", 0)))
        .isInstanceOf(MoeException.class)
        .hasMessageContaining("state-width 0");
    ParameterStore store = wide(1);
    layers(1, store, config());
    MoeConfig wider = config("state-width", 7);
    assertThatThrownBy(() -> new MoeLayer(wider, store.under("layers.2"), 2))
        .hasMessageContaining("router_rnn.weight_ih is shared by all layers");
    List<Router> layers = layers(2, wide(1), config());
    TokenContext context = TokenContext.eval(1, T);
    layers.get(0).route(normal(T, D), context);
    assertThatThrownBy(() -> layers.get(1).route(normal(T - 1, D), context))
        .isInstanceOf(MoeException.class)
        .hasMessageContaining("needs a state [5, 3], the layer below left [6, 3]");
  }
}

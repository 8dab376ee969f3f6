package org.moe4j;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.moe4j.DsMoeRouter.Serving;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.Ops;
import org.moe4j.tensor.RandomSource;
import org.moe4j.tensor.Tensor;

/** What S38 says dense training and sparse evaluation must do. */
class DsMoeRouterTest extends InScope {
  private static final int D = 6;
  private static final int E = 8;
  private static final int H = 5;
  private static final int T = 12;

  private final ParameterStore store = wide(1);

  private static MoeConfig config(int k, Map<String, ?> options) {
    return MoeConfig.builder(D, H, E, k)
        .router("ds-moe", options)
        .form(ExpertForm.GELU)
        .init(InitScheme.T5)
        .build();
  }

  private MoeLayer layer(int k, Map<String, ?> options) {
    store.close();
    return new MoeLayer(config(k, options), store);
  }

  private static TokenContext train() {
    return TokenContext.train(1, T, new RandomSource(1));
  }

  private static TokenContext eval() {
    return TokenContext.eval(1, T);
  }

  /** A linear gate whose logits are its inputs. */
  private static DsMoeRouter gate(int experts, int k, Serving serving, double threshold) {
    ParameterStore store = wide(1);
    DsMoeRouter router =
        new DsMoeRouter(
            MoeConfig.builder(experts, 4, experts, k).build(), serving, threshold, 0, store, 0);
    double[][] eye = new double[experts][experts];
    for (int e = 0; e < experts; e++) {
      eye[e][e] = 1;
    }
    store.named("gate.weight").tensor().detach().copyInPlace(matrix(eye));
    return router;
  }

  @Test
  void trainingEqualsOneWideMlpWithBlocksScaled() {
    MoeLayer layer = layer(2, Map.of("gate", "linear"));
    Tensor x = normal(T, D).requiresGrad(true);
    Tensor y = layer.forward(x, train()).output();
    Tensor s = Ops.linear(x, store.named("gate.weight").tensor(), null).softmax(-1);
    Tensor in = store.named("experts.w_in").tensor().view(E * H, D);
    Tensor out = store.named("experts.w_out").tensor().transpose(0, 1).reshape(D, E * H);
    Tensor hidden = Ops.gelu(Ops.linear(x, in, null)).view(T, E, H).mul(s.unsqueeze(-1));
    Tensor wide = Ops.linear(hidden.view(T, E * H), out, null);
    same(y, wide, 1e-12);
    Tensor dy = normal(T, D);
    y.mul(dy).sum().backward();
    double[] one = x.grad().orElseThrow().toDoubles();
    double[] gate = store.named("gate.weight").tensor().grad().orElseThrow().toDoubles();
    x.clearGrad();
    store.named("gate.weight").tensor().clearGrad();
    wide.mul(dy).sum().backward();
    assertThat(x.grad().orElseThrow().toDoubles()).containsExactly(one, within(1e-12));
    assertThat(store.named("gate.weight").tensor().grad().orElseThrow().toDoubles())
        .containsExactly(gate, within(1e-12));
  }

  @Test
  void theMlpRouterIsItsFormula() {
    MoeLayer layer = layer(2, Map.of("gate-width", 7));
    store.named("gate.hidden_bias").tensor().detach().copyInPlace(normal(7));
    Tensor x = normal(T, D);
    double[][] p = rows(((Blend.Dense) layer.router().route(x, train())).weights());
    double[][] hidden = rows(store.named("gate.hidden").tensor().detach());
    double[] bias = store.named("gate.hidden_bias").tensor().toDoubles();
    double[][] weight = rows(store.named("gate.weight").tensor().detach());
    for (int t = 0; t < T; t++) {
      double[] z = Loops.matvec(hidden, rows(x)[t]);
      for (int i = 0; i < z.length; i++) {
        z[i] = Loops.activation(Activation.GELU, z[i] + bias[i]);
      }
      assertThat(p[t]).containsExactly(Loops.softmax(Loops.matvec(weight, z)), within(1e-10));
    }
    assertThat(config(2, Map.of()).parameters()).isEqualTo(512L * (D + 1 + E) + 2L * E * D * H);
  }

  @Test
  void gradientsEqualDifferencesAndReachEveryLogit() {
    MoeLayer layer = layer(2, Map.of("gate-width", 4));
    Tensor x = normal(T, D);
    Tensor dy = normal(T, D);
    for (Parameter p : store.all()) {
      slopes(p.name(), p.tensor(), 1e-6, () -> layer.forward(x, train()).output().mul(dy).sum());
    }
    DsMoeRouter router = gate(E, 1, Serving.TOP_K, 0.48);
    Tensor z = normal(T, E).requiresGrad(true);
    Tensor outputs = normal(T, E);
    ((Blend.Dense) router.route(z, train())).weights().mul(outputs).sum().backward();
    for (double slope : z.grad().orElseThrow().toDoubles()) {
      assertThat(slope).isNotZero();
    }
  }

  @Test
  void servingAllIsTrainingsOutputAndServingOneIsTheBest() {
    Tensor x = normal(T, D);
    for (Map<String, ?> options :
        List.of(
            Map.of("serving", "all"),
            Map.of("serving", "top-k"),
            Map.of("serving", "threshold", "threshold", 1e-12))) {
      MoeLayer layer = layer(E, options);
      same(layer.forward(x, eval()).output(), layer.forward(x, train()).output(), 1e-12);
    }
    MoeLayer one = layer(1, Map.of());
    TokenChoice r = (TokenChoice) one.router().route(x, eval());
    double[][] s = rows(((Blend.Dense) one.router().route(x, train())).weights());
    double[][] y = rows(one.forward(x, eval()).output());
    for (int t = 0; t < T; t++) {
      int best = Loops.top(s[t], 1)[0];
      double weight = s[t][best];
      assertThat(r.experts().toLongs()[t]).isEqualTo(best);
      double[][] in = rows(store.named("experts.w_in").tensor().detach().select(0, best));
      double[][] out = rows(store.named("experts.w_out").tensor().detach().select(0, best));
      double[] e = Loops.expert(ExpertForm.GELU, in, out, new double[0], new double[0], rows(x)[t]);
      // The weight stays what it was among all.
      double[] expected = Arrays.stream(e).map(v -> v * weight).toArray();
      assertThat(y[t]).containsExactly(expected, within(1e-10));
    }
  }

  @Test
  void theThresholdComparesETimesTheProbability() {
    Tensor z =
        Tensor.of(new double[] {Math.log(.4), Math.log(.3), Math.log(.2), Math.log(.1)}, 1, 4);
    TokenContext one = TokenContext.eval(1, 1);
    assertThat(chosen(0.9, z, one)).containsExactly(0, 1);
    assertThat(chosen(0.48, z, one)).containsExactly(0, 1, 2);
    assertThat(chosen(0.3, z, one)).containsExactly(0, 1, 2, 3);
    TokenChoice none = (TokenChoice) gate(4, 1, Serving.THRESHOLD, 3).route(z, one);
    assertThat(none.experts().toLongs()).containsExactly(-1);
    assertThat(none.weights().toDoubles()).containsExactly(0);
  }

  private static long[] chosen(double threshold, Tensor z, TokenContext context) {
    return ((TokenChoice) gate(4, 1, Serving.THRESHOLD, threshold).route(z, context))
        .experts()
        .toLongs();
  }

  @Test
  void fewerExpertsAreServedTheHigherTheThreshold() {
    Tensor z = normal(T, E);
    double before = T * E;
    for (double threshold : new double[] {0.1, 0.3, 0.48, 0.9, 1.5}) {
      Routing r = gate(E, 1, Serving.THRESHOLD, threshold).route(z, eval());
      double served = Arrays.stream(RoutingStats.of(r, eval()).served()).sum();
      assertThat(served).isLessThanOrEqualTo(before);
      before = served;
    }
    assertThat(before).isLessThan(T * E / 2.0);
  }

  @Test
  void onlyTheServedRowsAreComputed() {
    MoeLayer layer = layer(2, Map.of("serving", "threshold"));
    Tensor x = normal(T, D);
    TokenChoice r = (TokenChoice) layer.router().route(x, eval());
    DroplessDispatcher.Sorted rows = new DroplessDispatcher().dispatch(x, r);
    double served = Arrays.stream(RoutingStats.of(r, eval()).served()).sum();
    assertThat(rows.input().rows().size(0)).isEqualTo((long) served).isLessThan(T * E);
    Tensor masked = new OneHotDispatcher().apply(x, r, (Experts) layer.experts(), eval());
    same(layer.forward(x, eval()).output(), masked, 1e-12);
  }

  @Test
  void theBatchsMeanNumberAboveTheThresholdIsEveryTokensK() {
    DsMoeRouter router = gate(E, 1, Serving.BATCH_K, 0.9);
    byte[] mask = {1, 1, 1, 0, 1, 1, 1, 1, 1, 1, 0, 1};
    Tensor z = normal(T, E).mul(2);
    TokenContext context = eval().withPadding(Tensor.of(mask).to(DType.BOOL));
    double above = 0;
    for (int t = 0; t < T; t++) {
      double[] s = Loops.softmax(rows(z)[t]);
      above += mask[t] * Arrays.stream(s).filter(p -> p * E > 0.9).count();
    }
    TokenChoice r = (TokenChoice) router.route(z, context);
    assertThat(r.k()).isEqualTo((int) Math.round(above / 10));
    int[][] experts = indices(r.experts());
    for (int t = 0; t < T; t++) {
      int[] best = Loops.top(rows(z)[t], r.k());
      assertThat(experts[t]).containsExactly(mask[t] == 1 ? best : filled(r.k()));
    }
  }

  private static int[] filled(int k) {
    int[] none = new int[k];
    Arrays.fill(none, -1);
    return none;
  }

  @Test
  void theBatchsKIsNotForDecodingButAThresholdIs() {
    MoeConfig batch = config(2, Map.of()).toBuilder().router("ds-moe-batch-k").build();
    refused(() -> Validity.check(batch, Validity.Use.DECODING, true), "not for decoding");
    refused(
        () -> Validity.check(batch, Validity.Use.CAUSAL_TRAINING, false),
        "not for causal training");
    MoeConfig each = config(2, Map.of("serving", "threshold"));
    assertThat(Validity.check(each, Validity.Use.DECODING, false)).isEmpty();
    assertThat(Validity.check(each, Validity.Use.CAUSAL_TRAINING, false))
        .containsExactly(
            "router \"ds-moe\" saves nothing in training: all 8 experts compute every token");
  }

  @Test
  void mistakesAreRefused() {
    refused(() -> layer(2, Map.of("serving", "threshold", "threshold", 0)), "threshold 0.0");
    refused(
        () -> layer(2, Map.of("threshold", 0.5)), "a threshold does not go with serving \"top-k\"");
    refused(() -> layer(2, Map.of("gate-width", 0)), "gate-width 0");
    refused(() -> config(9, Map.of()), "top-k 9 is more than the 8 experts");
    refused(
        () ->
            Validity.check(
                config(2, Map.of()).toBuilder().capacity(Capacity.megablocks(1)).build(),
                Validity.Use.ENCODER,
                false),
        "capacity factor");
  }

  private static void refused(Runnable action, String message) {
    assertThatThrownBy(action::run)
        .isInstanceOf(MoeException.class)
        .hasMessageContaining(message)
        .hasMessageNotContaining("\n");
  }
}

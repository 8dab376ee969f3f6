package org.moe4j;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.Device;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.RandomSource;
import org.moe4j.tensor.Tensor;

/** What S28 says Soft MoE must do. */
class SoftMoeRouterTest extends InScope {
  private static final int D = 4;
  private static final int E = 3;
  private static final int P = 2;
  private static final int S = 5;

  private final ParameterStore store = wide(1);

  private static MoeConfig config(Map<String, ?> options) {
    return MoeConfig.builder(D, 6, E, 1).router("soft-moe", options).form(ExpertForm.RELU).build();
  }

  private MoeLayer layer() {
    MoeLayer layer = new MoeLayer(config(Map.of("slots", P)), store);
    RandomSource r = new RandomSource(6);
    for (Parameter p : store.all()) {
      p.tensor().detach().copyInPlace(r.normal(0, 1, DType.F64, p.tensor().shape()));
    }
    store.named("gate.scale").tensor().detach().fillInPlace(1.7);
    return layer;
  }

  private SoftMoeRouter router(int slots, int tokens, boolean normalise) {
    return new SoftMoeRouter(D, E, slots, tokens, normalise, 0, store, 0);
  }

  private static double[][] unit(double[][] rows) {
    return Arrays.stream(rows)
        .map(
            row -> {
              double norm = Math.sqrt(Arrays.stream(row).map(v -> v * v).sum() + 1e-6);
              return Arrays.stream(row).map(v -> v / norm).toArray();
            })
        .toArray(double[][]::new);
  }

  private static double[][] transposed(double[][] a) {
    double[][] t = new double[a[0].length][a.length];
    for (int i = 0; i < a.length; i++) {
      for (int j = 0; j < a[0].length; j++) {
        t[j][i] = a[i][j];
      }
    }
    return t;
  }

  /** One sequence by loops; tokens that are not real neither give nor get. */
  private double[][] loops(double[][] x, boolean[] real) {
    double[][] columns = transposed(rows(store.named("gate.phi").tensor().detach().view(D, E * P)));
    double[][] unitX = unit(x);
    double[][] unitPhi = unit(columns);
    int slots = E * P;
    double[][] logits = new double[x.length][slots];
    for (int t = 0; t < x.length; t++) {
      for (int r = 0; r < slots; r++) {
        for (int i = 0; i < D; i++) {
          logits[t][r] += 1.7 * unitX[t][i] * unitPhi[r][i];
        }
      }
    }
    double[][] outputs = new double[slots][];
    for (int r = 0; r < slots; r++) {
      double[] column = new double[x.length];
      for (int t = 0; t < x.length; t++) {
        column[t] = real[t] ? logits[t][r] : Double.NEGATIVE_INFINITY;
      }
      double[] w = Loops.softmax(column);
      double[] slot = new double[D];
      for (int t = 0; t < x.length; t++) {
        for (int i = 0; i < D; i++) {
          slot[i] += w[t] * x[t][i];
        }
      }
      double[][] in = rows(store.named("experts.w_in").tensor().detach().select(0, r / P));
      double[][] out = rows(store.named("experts.w_out").tensor().detach().select(0, r / P));
      outputs[r] = Loops.expert(ExpertForm.RELU, in, out, new double[0], new double[0], slot);
    }
    double[][] y = new double[x.length][D];
    for (int t = 0; t < x.length; t++) {
      double[] c = Loops.softmax(logits[t]);
      for (int r = 0; r < slots && real[t]; r++) {
        for (int i = 0; i < D; i++) {
          y[t][i] += c[r] * outputs[r][i];
        }
      }
    }
    return y;
  }

  @Test
  void equalsTheLoopsForEachSequenceAloneAndWithPadding() {
    MoeLayer layer = layer();
    Tensor x = normal(2L * S, D);
    byte[] mask = {1, 1, 0, 1, 1, 1, 0, 0, 1, 1};
    boolean[] all = new boolean[S];
    Arrays.fill(all, true);
    double[][] in = rows(x);
    double[][] plain = rows(layer.forward(x, TokenContext.eval(2, S)).output());
    double[][] padded =
        rows(
            layer
                .forward(x, TokenContext.eval(2, S).withPadding(Tensor.of(mask).to(DType.BOOL)))
                .output());
    for (int g = 0; g < 2; g++) {
      double[][] part = Arrays.copyOfRange(in, g * S, (g + 1) * S);
      boolean[] real = new boolean[S];
      for (int t = 0; t < S; t++) {
        real[t] = mask[g * S + t] == 1;
      }
      double[][] whole = loops(part, all);
      double[][] some = loops(part, real);
      double[][] alone = rows(layer.forward(matrix(part), TokenContext.eval(1, S)).output());
      for (int t = 0; t < S; t++) {
        assertThat(plain[g * S + t]).containsExactly(whole[t], within(1e-12));
        assertThat(padded[g * S + t]).containsExactly(some[t], within(1e-12));
        assertThat(alone[t]).containsExactly(plain[g * S + t], within(1e-13));
      }
    }
  }

  @Test
  void aSequenceOfPaddingAloneIsHarmless() {
    MoeLayer layer = layer();
    Tensor mask = Tensor.of(new byte[] {0, 0, 0, 1, 1, 1}).to(DType.BOOL);
    Tensor x = normal(6, D).requiresGrad(true);
    MoeOutput out = layer.forward(x, train(2, 3).withPadding(mask));
    double[][] y = rows(out.output());
    assertThat(y[0]).containsOnly(0);
    assertThat(out.output().allFinite()).isTrue();
    out.output().sum().backward();
    assertThat(x.grad().orElseThrow().allFinite()).isTrue();
  }

  private static TokenContext train(long b, long s) {
    return TokenContext.train(b, s, new RandomSource(3));
  }

  @Test
  void dispatchSumsToOneOverTokensAndCombineOverSlots() {
    Blend.Slots r = (Blend.Slots) layer().router().route(normal(2L * S, D), train(2, S));
    assertThat(r.dispatch().shape()).containsExactly(2, S, (long) E * P);
    for (double sum : r.dispatch().sum(1, false).toDoubles()) {
      assertThat(sum).isCloseTo(1, within(1e-12));
    }
    for (double sum : r.combine().sum(2, false).toDoubles()) {
      assertThat(sum).isCloseTo(1, within(1e-12));
    }
    for (Tensor w : List.of(r.dispatch(), r.combine())) {
      assertThat(Arrays.stream(w.toDoubles()).min().orElseThrow()).isPositive();
    }
    double[] shares = r.evidence().probabilities().orElseThrow().sum(1, false).toDoubles();
    assertThat(shares).containsExactly(new double[] {1, 1, 1, 1, 1, 1, 1, 1, 1, 1}, within(1e-12));
  }

  @Test
  void shuffledTokensGiveShuffledOutputsAndSlotsOfAnExpertMayChangePlaces() {
    MoeLayer layer = layer();
    Tensor x = normal(S, D);
    double[][] y = rows(layer.forward(x, TokenContext.eval(1, S)).output());
    List<Long> order = new ArrayList<>(List.of(0L, 1L, 2L, 3L, 4L));
    Collections.shuffle(order, new Random(2));
    Tensor index = Tensor.of(order.stream().mapToLong(i -> i).toArray());
    double[][] shuffled =
        rows(layer.forward(x.indexSelect(0, index), TokenContext.eval(1, S)).output());
    for (int t = 0; t < S; t++) {
      assertThat(shuffled[t]).containsExactly(y[order.get(t).intValue()], within(1e-12));
    }
    Tensor phi = store.named("gate.phi").tensor().detach();
    phi.copyInPlace(phi.indexSelect(2, Tensor.of(new long[] {1, 0})));
    double[][] same = rows(layer.forward(x, TokenContext.eval(1, S)).output());
    for (int t = 0; t < S; t++) {
      assertThat(same[t]).containsExactly(y[t], within(1e-12));
    }
  }

  @Test
  void equalTokensAreMixedEvenly() {
    Tensor x = normal(1, D).expand(S, D).contiguous();
    Blend.Slots r = (Blend.Slots) layer().router().route(x, TokenContext.eval(1, S));
    for (double w : r.dispatch().toDoubles()) {
      assertThat(w).isCloseTo(1.0 / S, within(1e-12));
    }
  }

  @Test
  void lengthsDoNotMatterButTheScaleDoes() {
    SoftMoeRouter router = router(P, 0, true);
    Tensor x = normal(S, D).add(3);
    Tensor phi = store.named("gate.phi").tensor().detach();
    phi.copyInPlace(normal(D, E, P).add(3));
    Blend.Slots one = router.route(x, TokenContext.eval(1, S));
    phi.mulInPlace(1000);
    Blend.Slots two = router.route(x.mul(1000), TokenContext.eval(1, S));
    same(two.dispatch(), one.dispatch(), 1e-6);
    same(two.combine(), one.combine(), 1e-6);
    store.named("gate.scale").tensor().detach().fillInPlace(0);
    Blend.Slots flat = router.route(x, TokenContext.eval(1, S));
    assertThat(flat.dispatch().toDoubles()).containsOnly(1.0 / S);
    assertThat(flat.combine().toDoubles()).containsOnly(1.0 / (E * P));
  }

  @Test
  void withoutNormalisationLogitsAreThePlainProduct() {
    SoftMoeRouter router = router(P, 0, false);
    assertThat(store.all()).hasSize(1);
    Tensor x = normal(S, D);
    Tensor phi = store.named("gate.phi").tensor().detach().view(D, E * P);
    Tensor expected = x.matmul(phi).softmax(0);
    same(router.route(x, TokenContext.eval(1, S)).dispatch().select(0, 0), expected, 1e-12);
  }

  @Test
  void zeroTokensAndZeroSlotsHaveFiniteGradients() {
    MoeLayer layer = layer();
    store.named("gate.phi").tensor().detach().select(1, 0).fillInPlace(0);
    double[][] x = rows(normal(S, D));
    Arrays.fill(x[1], 0);
    Tensor leaf = matrix(x).requiresGrad(true);
    layer.forward(leaf, train(1, S)).output().square().sum().backward();
    assertThat(leaf.grad().orElseThrow().allFinite()).isTrue();
    assertThat(store.named("gate.phi").tensor().grad().orElseThrow().allFinite()).isTrue();
  }

  @Test
  void gradientsEqualDifferences() {
    MoeLayer layer = layer();
    Tensor x = normal(2L * S, D).requiresGrad(true);
    Tensor mask = Tensor.of(new byte[] {1, 1, 1, 0, 1, 1, 1, 1, 1, 1}).to(DType.BOOL);
    for (Parameter p : store.all()) {
      slopes(
          p.name(),
          p.tensor(),
          1e-6,
          () -> layer.forward(x, train(2, S).withPadding(mask)).output().square().sum());
    }
    slopes("x", x, 1e-6, () -> layer.forward(x, train(2, S)).output().square().sum());
  }

  @Test
  void expertsComputeSlotsWhateverTheNumberOfTokens() {
    for (int size : new int[] {2, 40}) {
      Routing r = router(P, 0, true).route(normal(2L * size, D), TokenContext.eval(2, size));
      ExpertInput.Buffers rows = new OneHotDispatcher().dispatch(normal(2L * size, D), r).input();
      assertThat(rows.rows().shape()).containsExactly(E, 2L * P, D);
      store.close();
    }
    // Twice the experts with half the slots: the same work of experts and router.
    MoeConfig four = config(4, Map.of("slots", 4, "tokens", 16));
    MoeConfig eight = config(8, Map.of("slots", 2, "tokens", 16));
    assertThat(eight.flopsPerToken()).isEqualTo(four.flopsPerToken());
    assertThat(four.flopsPerToken()).isEqualTo(2 * 3 * D * 16 + 2 * 2 * D * 6);
  }

  private static MoeConfig config(int experts, Map<String, ?> options) {
    return MoeConfig.builder(D, 6, experts, 1)
        .router("soft-moe", options)
        .form(ExpertForm.RELU)
        .build();
  }

  @Test
  void slotsFollowFromTokensAndTopK() {
    assertThat(SoftMoeRouter.slots(8, 1, 5)).isEqualTo(2);
    assertThat(SoftMoeRouter.slots(10, 1, 4)).isEqualTo(2); // 2.5, half to even
    MoeConfig config =
        MoeConfig.builder(16, 6, 5, 1).router("soft-moe", Map.of("slots", 0, "tokens", 8)).build();
    ParameterStore made = new ParameterStore(new RandomSource(1), Device.CPU);
    new MoeLayer(config, made);
    assertThat(made.named("gate.phi").tensor().shape()).containsExactly(16, 5, 2);
    made.close();
  }

  @Test
  void noiseIsForTrainingAlone() {
    SoftMoeRouter router = new SoftMoeRouter(D, E, P, 0, true, 0.5, store, 0);
    Tensor x = normal(S, D);
    double[] eval = router.route(x, TokenContext.eval(1, S)).dispatch().toDoubles();
    assertThat(router.route(x, TokenContext.eval(1, S)).dispatch().toDoubles())
        .containsExactly(eval);
    double[] one = router.route(x, train(1, S)).dispatch().toDoubles();
    assertThat(one).isNotEqualTo(eval);
    assertThat(router.route(x, train(1, S)).dispatch().toDoubles()).containsExactly(one);
  }

  @Test
  void noLossIsAdded() {
    MoeOutput out = layer().forward(normal(S, D), train(1, S));
    assertThat(out.losses()).isEmpty();
    assertThat(out.balance().item()).isZero();
    assertThat(RouterRegistry.named("soft-moe").losses()).isEmpty();
  }

  @Test
  void mistakesAreRefused() {
    refused(() -> router(0, 0, true), "slots 0");
    refused(() -> SoftMoeRouter.slots(2, 1, 5), "leave no slot");
    refused(
        () -> router(1, 6, true).route(normal(S, D), TokenContext.eval(1, S)),
        "sequences of 6 tokens, these have 5");
    refused(
        () -> Validity.check(config(Map.of()), Validity.Use.CAUSAL_TRAINING, false),
        "not for causal training");
    refused(
        () -> Validity.check(config(Map.of()), Validity.Use.DECODING, true), "not for decoding");
    refused(
        () ->
            Validity.check(
                config(Map.of()).toBuilder()
                    .balance(FractionBalance.mixtral(Grouping.BATCH), 0.01)
                    .build(),
                Validity.Use.ENCODER,
                false),
        "its plans are of the form slots");
  }

  private static void refused(Runnable action, String message) {
    assertThatThrownBy(action::run)
        .isInstanceOf(MoeException.class)
        .hasMessageContaining(message)
        .hasMessageNotContaining("\n");
  }
}

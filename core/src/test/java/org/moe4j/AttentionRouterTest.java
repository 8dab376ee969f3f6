package org.moe4j;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.NoGrad;
import org.moe4j.tensor.Tensor;

/** Yuan's attention among experts (S43). */
class AttentionRouterTest extends InScope {
  private static final int D = 6;

  private static AttentionRouter router(int experts, int k, ParameterStore store) {
    return new AttentionRouter(D, experts, k, false, Init.normal(0.7), store, 0);
  }

  private static double[] attended(double[] q, double[] k, double[] v) {
    double[] p = new double[q.length];
    for (int i = 0; i < q.length; i++) {
      double[] row = new double[q.length];
      for (int j = 0; j < q.length; j++) {
        row[j] = q[i] * k[j];
      }
      double[] a = Loops.softmax(row);
      for (int j = 0; j < q.length; j++) {
        p[i] += a[j] * v[j];
      }
    }
    return p;
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 2, 5})
  void equalsTheDoubleLoop(int experts) {
    ParameterStore store = wide(1);
    int k = Math.min(2, experts);
    AttentionRouter router = router(experts, k, store);
    Tensor x = normal(9, D);
    TokenChoice r = router.route(x, TokenContext.eval(1, 9));
    double[][] q = rows(store.named("gate.query.weight").tensor());
    double[][] key = rows(store.named("gate.key.weight").tensor());
    double[][] v = rows(store.named("gate.value.weight").tensor());
    double[][] logits = rows(r.evidence().logits().orElseThrow());
    for (int t = 0; t < 9; t++) {
      double[] row = rows(x)[t];
      double[] p = attended(Loops.matvec(q, row), Loops.matvec(key, row), Loops.matvec(v, row));
      assertThat(logits[t]).containsExactly(p, within(1e-12));
      int[] top = Loops.top(p, k);
      assertThat(indices(r.experts())[t]).containsExactly(top);
      // The code's form: softmax over all, divided by the sum of the chosen.
      double[] all = Loops.softmax(p);
      double sum = 0;
      for (int e : top) {
        sum += all[e];
      }
      for (int j = 0; j < k; j++) {
        assertThat(rows(r.weights())[t][j]).isCloseTo(all[top[j]] / sum, within(1e-12));
      }
    }
  }

  @Test
  void aConstantOnTheValuesChangesNeitherChoiceNorWeight() {
    ParameterStore store = wide(1);
    AttentionRouter router = router(5, 2, store);
    Tensor x = normal(9, D);
    TokenChoice before = router.route(x, TokenContext.eval(1, 9));
    Tensor v = store.named("gate.value.weight").tensor().detach();
    v.addInPlace(normal(1, D).expand(5, D).contiguous());
    TokenChoice after = router.route(x, TokenContext.eval(1, 9));
    assertThat(after.experts().toLongs()).isEqualTo(before.experts().toLongs());
    same(after.weights(), before.weights(), 1e-12);
  }

  @Test
  void gradientsReachAllThreeMatrices() {
    ParameterStore store = wide(1);
    AttentionRouter router = router(4, 4, store);
    Tensor x = normal(5, D);
    Tensor direction = normal(5, 4);
    TokenContext context = TokenContext.eval(1, 5);
    for (Parameter p : store.all()) {
      slopes(
          p.name(),
          p.tensor(),
          1e-6,
          () -> router.route(x, context).evidence().logits().orElseThrow().mul(direction).sum());
    }
  }

  /** 128 experts leave 256 tokens a chunk: the seams must not show. */
  @Test
  void manyTokensAreRoutedInChunks() {
    AttentionRouter router = router(128, 2, wide(1));
    Tensor x = normal(600, D);
    try (NoGrad off = NoGrad.open()) {
      TokenChoice all = router.route(x, TokenContext.eval(1, 600));
      for (long start : new long[] {0, 250, 590}) {
        TokenChoice part = router.route(x.narrow(0, start, 10), TokenContext.eval(1, 10));
        assertThat(part.experts().toLongs())
            .isEqualTo(all.experts().narrow(0, start, 10).contiguous().toLongs());
        same(part.weights(), all.weights().narrow(0, start, 10).contiguous(), 1e-12);
      }
    }
  }

  @Test
  void largeProductsDoNotOverflow() {
    ParameterStore store = new ParameterStore(1);
    AttentionRouter router = router(5, 2, store);
    TokenChoice r = router.route(normal(9, D).mul(1e3).to(DType.F32), TokenContext.eval(1, 9));
    assertThat(r.evidence().logits().orElseThrow().allFinite()).isTrue();
  }

  @Test
  void projectionsMayHaveTheInputsType() {
    Tensor x = normal(50, D).to(DType.BF16);
    ParameterStore store = new ParameterStore(1);
    Init init = Init.normal(0.7);
    Router code = new AttentionRouter(D, 5, 2, true, init, store.under("a"), 0);
    Router wide = new AttentionRouter(D, 5, 2, false, init, store.under("b"), 0);
    for (String part : new String[] {"query", "key", "value"}) {
      Tensor from = store.named("a.gate." + part + ".weight").tensor().detach();
      store.named("b.gate." + part + ".weight").tensor().detach().copyInPlace(from);
    }
    Tensor a = code.route(x, TokenContext.eval(1, 50)).evidence().logits().orElseThrow();
    Tensor b = wide.route(x, TokenContext.eval(1, 50)).evidence().logits().orElseThrow();
    assertThat(a.dtype()).isEqualTo(DType.F32);
    assertThat(a.toDoubles()).isNotEqualTo(b.toDoubles());
    assertThat(a.sub(b).abs().max().item()).isLessThan(0.2);
  }

  @Test
  void itCountsItsProductsAndRefusesTooManyChoices() {
    MoeConfig config = MoeConfig.builder(2048, 8192, 32, 2).router("yuan-attention").build();
    RouterEntry entry = config.routerEntry();
    assertThat(entry.parameters().applyAsLong(config)).isEqualTo(196_608);
    assertThat(entry.flops().applyAsLong(config)).isEqualTo(2 * (196_608 + 2_048));
    assertThatThrownBy(() -> MoeConfig.builder(D, 4, 3, 4).router("yuan-attention").build())
        .isInstanceOf(MoeException.class)
        .hasMessageContaining("top-k 4 is more than the 3 experts");
    assertThatThrownBy(
            () ->
                new MoeLayer(
                    MoeConfig.builder(D, 4, 3, 2)
                        .router("yuan-attention", Map.of("projections", "f64"))
                        .build(),
                    wide(1)))
        .hasMessageContaining("f32, input");
  }
}

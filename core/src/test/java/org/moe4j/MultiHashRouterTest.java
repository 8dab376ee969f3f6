package org.moe4j;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.stream.LongStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.RandomSource;
import org.moe4j.tensor.Tensor;

/** Experts mixed by segments (S13). */
class MultiHashRouterTest extends InScope {
  private static final int V = 40;
  private static final int D = 8;
  private static final int H = 12;
  private static final int E = 5;
  private static final List<String> WEIGHTS = List.of("w_in", "w_out", "b_in", "b_out");

  static List<ExpertForm> forms() {
    return List.of(ExpertForm.RELU.withBiases(true), ExpertForm.SWIGLU.withBiases(true));
  }

  private static MoeConfig config(int segments, ExpertForm form) {
    return MoeConfig.builder(D, H, E, segments)
        .router("multi-hash", Map.of("vocab", V))
        .form(form)
        .build();
  }

  private static MoeLayer layer(int segments, ExpertForm form, ParameterStore store) {
    MoeLayer layer = new MoeLayer(config(segments, form), store, 1);
    RandomSource r = new RandomSource(3);
    for (Parameter p : store.all()) {
      if (p.role() instanceof Role.RoutedExperts) {
        p.tensor().detach().copyInPlace(r.normal(0, 1, DType.F64, p.tensor().shape()));
      }
    }
    return layer;
  }

  private static Tensor ids(int tokens) {
    return Tensor.of(LongStream.range(0, tokens).map(i -> (i * i + 3 * i) % V).toArray());
  }

  private static Tensor of(ParameterStore store, String name, long e) {
    return store.named("experts." + name).tensor().detach().select(0, e);
  }

  /** Element by element, each from its segment's expert. */
  private static double[] token(ExpertForm form, ParameterStore store, int[] chosen, double[] x) {
    int n = chosen.length;
    double[] v = new double[H];
    for (int i = 0; i < H; i++) {
      int e = chosen[i / (H / n)];
      double[] p = Loops.matvec(rows(of(store, "w_in", e)), x);
      double[] b = of(store, "b_in", e).toDoubles();
      v[i] = Loops.activation(form.activation(), p[i] + b[i]);
      if (form.gated()) {
        v[i] *= p[H + i] + b[H + i];
      }
    }
    double[] y = new double[D];
    for (int i = 0; i < D; i++) {
      int e = chosen[i / (D / n)];
      double[] p = Loops.matvec(rows(of(store, "w_out", e)), v);
      y[i] = p[i] + of(store, "b_out", e).toDoubles()[i];
    }
    return y;
  }

  @ParameterizedTest
  @MethodSource("forms")
  void everySegmentIsItsOwnExperts(ExpertForm form) {
    for (int n : new int[] {1, 2, 4}) {
      ParameterStore store = wide(2);
      MoeLayer layer = layer(n, form, store);
      Tensor x = normal(20, D).requiresGrad(true);
      TokenContext context = TokenContext.train(4, 5, random).withIds(ids(20));
      MoeOutput out = layer.forward(x, context);
      int[][] chosen = indices(((Retrieval) out.routing()).ids());
      double[][] y = rows(out.output().detach());
      double[][] in = rows(x.detach());
      for (int t = 0; t < 20; t++) {
        assertThat(y[t]).containsExactly(token(form, store, chosen[t], in[t]), within(1e-9));
      }
      Tensor g = normal(20, D);
      for (String name : WEIGHTS) {
        Tensor w = store.named("experts." + name).tensor();
        slopes(name, w, 1e-6, () -> layer.forward(x, context).output().mul(g).sum());
      }
      slopes("x", x, 1e-6, () -> layer.forward(x, context).output().mul(g).sum());
    }
  }

  @ParameterizedTest
  @MethodSource("forms")
  void equalTablesGiveWholeExpertsAndSoDoesOneTable(ExpertForm form) {
    Tensor x = normal(20, D);
    TokenContext context = TokenContext.eval(4, 5).withIds(ids(20));
    ParameterStore plainStore = wide(2);
    MoeConfig plain =
        MoeConfig.builder(D, H, E, 1).router("hash", Map.of("vocab", V)).form(form).build();
    MoeLayer hash = new MoeLayer(plain, plainStore, 1);
    for (int n : new int[] {1, 2, 4}) {
      ParameterStore store = wide(2);
      MoeLayer layer = layer(n, form, store);
      for (String name : WEIGHTS) {
        Tensor own = store.named("experts." + name).tensor().detach();
        plainStore.named("experts." + name).tensor().detach().copyInPlace(own);
      }
      Tensor tables = store.named("gate.tables").tensor();
      long[] first = Arrays.copyOf(tables.toLongs(), V);
      for (int m = 0; m < n; m++) {
        tables.select(0, m).copyInPlace(Tensor.of(first));
      }
      ((HashRouter) hash.router()).use(first);
      same(layer.forward(x, context).output(), hash.forward(x, context).output(), 1e-10);
      assertThat(store.count(p -> true)).isEqualTo(plainStore.count(p -> true));
      assertThat(config(n, form).activeParameters()).isEqualTo(plain.activeParameters());
      assertThat(config(n, form).flopsPerToken()).isEqualTo(plain.flopsPerToken());
    }
  }

  @Test
  void tablesAreIndependent() {
    ParameterStore store = wide(2);
    layer(4, ExpertForm.RELU, store);
    double[][] tables = rows(store.named("gate.tables").tensor());
    for (int a = 0; a < 4; a++) {
      for (int b = 0; b < a; b++) {
        int equal = 0;
        for (int v = 0; v < V; v++) {
          equal += tables[a][v] == tables[b][v] ? 1 : 0;
        }
        // A fifth of 40 is expected.
        assertThat(equal).isLessThan(20);
      }
    }
  }

  @Test
  void segmentsMustDivideTheExpert() {
    MoeConfig three = config(3, ExpertForm.RELU);
    HashRouterTest.refused(() -> new MoeLayer(three, wide(1)), "multi-hash", "3", "8");
  }
}

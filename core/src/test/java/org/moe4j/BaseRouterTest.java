package org.moe4j;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.Arrays;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.RandomSource;
import org.moe4j.tensor.Tensor;

/** BASE layers (S09): assignment, mixing, experts. */
class BaseRouterTest extends InScope {
  private static final int D = 6;
  private static final int H = 5;
  private static final int E = 4;
  private static final ExpertForm FORM = ExpertForm.RELU.withBiases(true);

  private static MoeConfig config(int sublayers) {
    return MoeConfig.builder(D, H, E, 1)
        .form(FORM)
        .router("base", Map.of("sublayers", sublayers))
        .init(InitScheme.T5)
        .build();
  }

  /** Normal values in every parameter. */
  private static ParameterStore filled(ParameterStore store) {
    RandomSource r = new RandomSource(9);
    for (Parameter p : store.all()) {
      p.tensor().detach().copyInPlace(r.normal(0, 1, DType.F64, p.tensor().shape()));
    }
    return store;
  }

  private static TokenContext train(long tokens) {
    return TokenContext.train(1, tokens, new RandomSource(3));
  }

  private static double[] norm(double[] u, double[] scale, double[] shift) {
    double mean = 0;
    for (double v : u) {
      mean += v / u.length;
    }
    double variance = 0;
    for (double v : u) {
      variance += (v - mean) * (v - mean) / u.length;
    }
    double[] out = new double[u.length];
    for (int i = 0; i < u.length; i++) {
      out[i] = (u[i] - mean) / Math.sqrt(variance + 1e-5) * scale[i] + shift[i];
    }
    return out;
  }

  private static double[][] slice(ParameterStore store, String name, int e) {
    return rows(store.named(name).tensor().detach().select(0, e));
  }

  private static double[] row(ParameterStore store, String name, int e) {
    return rows(store.named(name).tensor().detach())[e];
  }

  /** The paper's layer: alpha X_e(h) + (1 - alpha) h, X_e a stack of residual blocks. */
  private static double[] mixed(ParameterStore store, int sublayers, double[] h, int e) {
    double[] u = h.clone();
    for (int i = 0; i < sublayers; i++) {
      String block = "experts." + i + ".";
      double[] normed =
          norm(u, row(store, block + "norm.weight", e), row(store, block + "norm.bias", e));
      double[] y =
          Loops.expert(
              FORM,
              slice(store, block + "w_in", e),
              slice(store, block + "w_out", e),
              row(store, block + "b_in", e),
              row(store, block + "b_out", e),
              normed);
      for (int c = 0; c < D; c++) {
        u[c] += y[c];
      }
    }
    double[] w = row(store, "gate.weight", e);
    double z = 0;
    for (int c = 0; c < D; c++) {
      z += w[c] * h[c];
    }
    double alpha = Loops.sigmoid(z);
    double[] out = new double[D];
    for (int c = 0; c < D; c++) {
      out[c] = alpha * u[c] + (1 - alpha) * h[c];
    }
    return out;
  }

  @Test
  void trainingIsTheBestAssignmentAndTheFormula() {
    for (int sublayers : new int[] {1, 3}) {
      for (Dispatch how : Dispatch.values()) {
        ParameterStore store = wide(1);
        MoeLayer layer =
            new MoeLayer(config(sublayers).toBuilder().dispatch(how).build(), store, 0);
        filled(store);
        Tensor x = normal(24, D);
        MoeOutput out = layer.forward(x, train(24));
        TokenChoice plan = (TokenChoice) out.routing();
        double[][] w = rows(store.named("gate.weight").tensor().detach());
        double[][] h = rows(x);
        double[][] scores = new double[24][];
        double[][] expected = new double[24][];
        double sum = 0;
        for (int t = 0; t < 24; t++) {
          scores[t] = Loops.matvec(w, h[t]);
          int e = indices(plan.experts())[t][0];
          sum += scores[t][e];
          expected[t] = mixed(store, sublayers, h[t], e);
        }
        assertThat(out.stats().served()).containsOnly(6);
        assertThat(sum).isCloseTo(Hungarian.balanced(scores), within(1e-11));
        same(x.add(out.output()), matrix(expected), 1e-10);
      }
    }
  }

  @Test
  void evaluationIsTheBestExpertOfEachToken() {
    ParameterStore store = wide(1);
    MoeLayer layer = new MoeLayer(config(1), store, 0);
    filled(store);
    Tensor x = normal(7, D);
    TokenContext context = TokenContext.eval(1, 7);
    MoeOutput out = layer.forward(x, context);
    double[][] w = rows(store.named("gate.weight").tensor().detach());
    double[][] h = rows(x);
    double[][] expected = new double[7][];
    for (int t = 0; t < 7; t++) {
      expected[t] = mixed(store, 1, h[t], Loops.top(Loops.matvec(w, h[t]), 1)[0]);
    }
    same(x.add(out.output()), matrix(expected), 1e-10);
  }

  @Test
  void inTrainingLaterTokensMoveEarlierOnes() {
    ParameterStore store = wide(1);
    MoeLayer layer = new MoeLayer(config(1), store, 0);
    filled(store);
    double[][] x = rows(normal(8, D));
    double[] before = layer.forward(matrix(x), train(8)).output().toDoubles();
    boolean moved = false;
    for (int i = 0; i < 20 && !moved; i++) {
      for (int t = 4; t < 8; t++) {
        x[t] = rows(normal(1, D))[0];
      }
      double[] after = layer.forward(matrix(x), train(8)).output().toDoubles();
      for (int c = 0; c < 4 * D; c++) {
        moved |= Math.abs(after[c] - before[c]) > 1e-9;
      }
    }
    assertThat(moved).isTrue();
  }

  @Test
  void aNewLayerChangesNothingAndItsLastMatrixLearns() {
    ParameterStore store = wide(1);
    MoeLayer layer = new MoeLayer(config(2), store, 0);
    MoeOutput out = layer.forward(normal(16, D), train(16));
    assertThat(out.output().toDoubles()).containsOnly(0);
    out.output().mul(normal(16, D)).sum().backward();
    for (String name : new String[] {"experts.0.w_out", "experts.1.w_out", "experts.0.b_out"}) {
      double[] gradient = store.named(name).tensor().grad().orElseThrow().toDoubles();
      assertThat(Arrays.stream(gradient)).anyMatch(g -> Math.abs(g) > 1e-6);
    }
  }

  @Test
  void embeddingsStartOrthogonal() {
    for (int[] shape : new int[][] {{4, 6}, {6, 6}, {8, 3}}) {
      ParameterStore store = wide(4);
      new BaseRouter(shape[1], shape[0], store, 0);
      Tensor w = store.named("gate.weight").tensor().detach();
      Tensor gram = shape[0] <= shape[1] ? w.mm(w.t()) : w.t().mm(w);
      double[][] g = rows(gram);
      for (int i = 0; i < g.length; i++) {
        for (int j = 0; j < g.length; j++) {
          assertThat(g[i][j]).isCloseTo(i == j ? 0.01 : 0, within(1e-8));
        }
      }
    }
  }

  @Test
  void gradientsWithAFixedAssignmentAreTheSlopes() {
    ParameterStore store = wide(1);
    MoeLayer layer = new MoeLayer(config(2), store, 0);
    filled(store);
    Tensor x = normal(8, D).requiresGrad(true);
    Tensor target = normal(8, D);
    for (Parameter p : store.all()) {
      slopes(
          p.name(), p.tensor(), 1e-5, () -> layer.forward(x, train(8)).output().mul(target).sum());
    }
    slopes("x", x, 1e-5, () -> layer.forward(x, train(8)).output().mul(target).sum());
  }

  @Test
  void onlyTheAssignedExpertsEmbeddingLearnsFromAToken() {
    ParameterStore store = wide(1);
    MoeLayer layer = new MoeLayer(config(1), store, 0);
    filled(store);
    Tensor x = normal(4, D);
    MoeOutput out = layer.forward(x, train(4));
    int expert = indices(((TokenChoice) out.routing()).experts())[2][0];
    out.output().narrow(0, 2, 1).sum().backward();
    double[][] gradient = rows(store.named("gate.weight").tensor().grad().orElseThrow());
    for (int e = 0; e < E; e++) {
      if (e == expert) {
        assertThat(Arrays.stream(gradient[e])).anyMatch(g -> g != 0);
      } else {
        assertThat(gradient[e]).containsOnly(0);
      }
    }
  }

  @Test
  void paddingFillsThePlacesThatAreLeft() {
    ParameterStore store = wide(1);
    MoeLayer layer = new MoeLayer(config(1), store, 0);
    filled(store);
    byte[] real = {1, 1, 0, 1, 1, 1, 0, 1};
    TokenContext context = train(8).withPadding(Tensor.of(real).to(DType.BOOL));
    double[][] x = rows(normal(8, D));
    MoeOutput out = layer.forward(matrix(x), context);
    assertThat(Arrays.stream(out.stats().served())).allMatch(n -> n <= 2);
    assertThat(out.stats().tokens()).isEqualTo(6);
    x[2] = rows(normal(1, D))[0];
    x[6] = rows(normal(1, D))[0];
    assertThat(layer.forward(matrix(x), context).output().toDoubles())
        .containsExactly(out.output().toDoubles());
  }

  @Test
  void anUnevenBatchAndNoBlocksAreRefused() {
    MoeLayer layer = new MoeLayer(config(1), wide(1), 3);
    assertThatThrownBy(() -> layer.forward(normal(10, D), train(10)))
        .isInstanceOf(MoeException.class)
        .hasMessageContaining("layer 3")
        .hasMessageContaining("10 tokens are no multiple of 4 experts");
    assertThatThrownBy(() -> new MoeLayer(config(0), wide(1), 0))
        .isInstanceOf(MoeException.class)
        .hasMessageContaining("sublayers 0");
  }

  @Test
  void accountingCountsEveryBlock() {
    ParameterStore store = wide(1);
    MoeConfig config = config(3);
    new MoeLayer(config, store, 0);
    assertThat(config.parameters()).isEqualTo(store.count(p -> true));
    long one = 3 * (2 * D * H + H + D + 2 * D);
    assertThat(config.activeParameters()).isEqualTo(one + (long) E * D);
    assertThat(config.flopsPerToken()).isEqualTo(2L * D * E + 2L * 3 * 2 * D * H);
  }
}

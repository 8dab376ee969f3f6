package org.moe4j;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.Locale;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.Device;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.RandomSource;
import org.moe4j.tensor.Tensor;

/** What S52 says PEER must do, and S29 of product-key memories. */
class ProductKeyRouterTest extends InScope {
  private static final int D = 6;

  private static MoeConfig config(String router, int experts, int k, Map<String, ?> options) {
    return MoeConfig.builder(D, 1, experts, k).router(router, options).init(InitScheme.T5).build();
  }

  private static TokenContext train(long tokens) {
    return TokenContext.train(1, tokens, new RandomSource(3));
  }

  @Test
  void theOutputIsTheTokensOwnDenseLayer() {
    for (String act : new String[] {"gelu", "relu", "silu"}) {
      ParameterStore store = wide(1);
      MoeLayer layer =
          new MoeLayer(config("peer", 16, 3, Map.of("heads", 2, "activation", act)), store);
      Tensor x = normal(7, D);
      MoeOutput out = layer.forward(x, TokenContext.eval(1, 7));
      Retrieval r = (Retrieval) out.routing();
      double[][] down = rows(store.named("experts.w_down").tensor());
      double[][] up = rows(store.named("experts.w_up").tensor());
      double[][] in = rows(x);
      Activation activation = Activation.valueOf(act.toUpperCase(Locale.ROOT));
      double[][] expected = new double[7][D];
      for (int t = 0; t < 7; t++) {
        for (int j = 0; j < 6; j++) {
          int e = indices(r.ids())[t][j];
          double dot = 0;
          for (int i = 0; i < D; i++) {
            dot += down[e][i] * in[t][i];
          }
          double weighted = Loops.activation(activation, dot) * rows(r.weights())[t][j];
          for (int i = 0; i < D; i++) {
            expected[t][i] += weighted * up[e][i];
          }
        }
        for (int head = 0; head < 2; head++) {
          double sum = 0;
          for (int j = 0; j < 3; j++) {
            sum += rows(r.weights())[t][head * 3 + j];
          }
          assertThat(sum).isCloseTo(1, within(1e-12));
        }
      }
      same(out.output(), matrix(expected), 1e-9);
    }
  }

  @Test
  void oneHeadWithAllExpertsIsADenseGatedLayer() {
    ParameterStore store = wide(1);
    MoeLayer layer = new MoeLayer(config("peer", 9, 9, Map.of("heads", 1)), store);
    Tensor x = normal(5, D);
    Retrieval r = (Retrieval) layer.forward(x, TokenContext.eval(1, 5)).routing();
    double[][] gates = new double[5][9];
    for (int t = 0; t < 5; t++) {
      assertThat(indices(r.ids())[t]).containsExactlyInAnyOrder(0, 1, 2, 3, 4, 5, 6, 7, 8);
      for (int j = 0; j < 9; j++) {
        gates[t][indices(r.ids())[t][j]] = rows(r.weights())[t][j];
      }
    }
    Tensor hidden = Activation.GELU.of(x.matmul(store.named("experts.w_down").tensor().t()));
    Tensor y = hidden.mul(matrix(gates)).matmul(store.named("experts.w_up").tensor());
    same(layer.forward(x, TokenContext.eval(1, 5)).output(), y.detach(), 1e-10);
  }

  @Test
  void anExpertFoundByTwoHeadsCountsTwice() {
    ParameterStore store = wide(1);
    SingleNeuronExperts bank =
        new SingleNeuronExperts(
            4, D, Activation.RELU, true, Init.normal(1), Init.normal(1), store, 0);
    Tensor x = normal(1, D);
    Tensor twice = Tensor.of(new double[] {0.3, 0.5}, 1, 2);
    Tensor once = Tensor.of(new double[] {0.8}, 1, 1);
    TokenContext context = TokenContext.eval(1, 1);
    Tensor both =
        bank.forward(
            x,
            new Retrieval(4, Tensor.of(new long[] {2, 2}, 1, 2), twice, Evidence.none()),
            context);
    both.sum().backward();
    Tensor gradient = store.named("w_up").tensor().grad().orElseThrow().allRows().copy();
    store.named("w_up").tensor().clearGrad();
    Tensor single =
        bank.forward(
            x, new Retrieval(4, Tensor.of(new long[] {2}, 1, 1), once, Evidence.none()), context);
    single.sum().backward();
    same(both, single, 1e-12);
    same(gradient, store.named("w_up").tensor().grad().orElseThrow().allRows(), 1e-12);
  }

  @Test
  void everyParameterHasTheGradientOfItsDifferences() {
    for (String norm : new String[] {"batch", "layer", "none"}) {
      ParameterStore store = wide(1);
      Map<String, Object> options =
          Map.of("heads", 2, "query-norm", norm, "row-gradients", false, "key-width", 4);
      MoeLayer layer = new MoeLayer(config("peer", 16, 3, options), store);
      Tensor x = normal(6, D);
      Tensor dy = normal(6, D);
      for (Parameter p : store.all()) {
        if (!(p.role() instanceof Role.State)) {
          slopes(
              norm + " " + p.name(),
              p.tensor(),
              2e-5,
              () -> layer.forward(x, train(6)).output().mul(dy).sum());
        }
      }
      Tensor in = normal(6, D).requiresGrad(true);
      slopes(norm + " x", in, 2e-5, () -> layer.forward(in, train(6)).output().mul(dy).sum());
    }
  }

  @Test
  void memoriesHaveTheGradientOfTheirDifferences() {
    for (String score : new String[] {"softmax", "sigmoid", "relu"}) {
      ParameterStore store = wide(1);
      Map<String, Object> options = Map.of("heads", 2, "score", score, "row-gradients", false);
      MoeLayer layer = new MoeLayer(config("pkm", 16, 3, options), store);
      Tensor x = normal(6, D);
      Tensor dy = normal(6, D);
      for (Parameter p : store.all()) {
        slopes(
            score + " " + p.name(),
            p.tensor(),
            2e-5,
            () -> layer.forward(x, train(6)).output().mul(dy).sum());
      }
    }
  }

  @Test
  void aMemoryAddsUpTheValuesOfItsBestKeys() {
    ParameterStore store = wide(1);
    MoeLayer layer = new MoeLayer(config("pkm", 16, 3, Map.of("heads", 2)), store);
    Tensor x = normal(5, D);
    MoeOutput out = layer.forward(x, TokenContext.eval(1, 5));
    double[] keys = store.named("gate.keys").tensor().toDoubles();
    double[][] values = rows(store.named("experts.values").tensor());
    double[][] expected = new double[5][D];
    int half = D / 2;
    for (int t = 0; t < 5; t++) {
      for (int head = 0; head < 2; head++) {
        double[] sums = new double[16];
        for (int e = 0; e < 16; e++) {
          for (int i = 0; i < D; i++) {
            int row = (head * 2 + i / half) * 4 + (i < half ? e / 4 : e % 4);
            sums[e] += rows(x)[t][i] * keys[row * half + i % half];
          }
        }
        for (int e : Loops.top(sums, 3)) {
          for (int i = 0; i < D; i++) {
            expected[t][i] += Math.max(0, sums[e]) * values[e][i];
          }
        }
      }
    }
    same(out.output(), matrix(expected), 1e-10);
  }

  @Test
  void batchNormUsesTheBatchInTrainingAndRunningAveragesElsewhere() {
    ParameterStore store = wide(1);
    QueryNorm norm = new QueryNorm(QueryNorm.Kind.BATCH, 2, 3, store, 0);
    Tensor q = normal(9, 6).mul(3).add(1);
    double[][] normed = rows(norm.apply(q, train(9)));
    for (int f = 0; f < 6; f++) {
      double mean = 0;
      double square = 0;
      for (double[] row : normed) {
        mean += row[f] / 9;
        square += row[f] * row[f] / 9;
      }
      assertThat(mean).isCloseTo(0, within(1e-10));
      assertThat(square).isCloseTo(1, within(1e-4));
    }
    // The averages moved a tenth of the way to the batch's mean and unbiased variance.
    double[][] in = rows(q);
    double[] mean = store.named("gate.query_norm.mean").tensor().toDoubles();
    double[] variance = store.named("gate.query_norm.variance").tensor().toDoubles();
    for (int f = 0; f < 6; f++) {
      double m = 0;
      for (double[] row : in) {
        m += row[f] / 9;
      }
      double v = 0;
      for (double[] row : in) {
        v += (row[f] - m) * (row[f] - m) / 8;
      }
      assertThat(mean[f]).isCloseTo(0.1 * m, within(1e-6));
      assertThat(variance[f]).isCloseTo(0.9 + 0.1 * v, within(1e-5));
    }
    Tensor alone = norm.apply(q.narrow(0, 4, 1), TokenContext.eval(1, 1));
    same(alone, norm.apply(q, TokenContext.eval(1, 9)).narrow(0, 4, 1), 1e-12);
    // One token has no variance: running averages, which stay.
    same(norm.apply(q.narrow(0, 4, 1), train(1)), alone, 1e-12);
    assertThat(store.named("gate.query_norm.mean").tensor().toDoubles()).containsExactly(mean);
  }

  @Test
  void paddingIsNotInTheBatchsStatistics() {
    QueryNorm norm = new QueryNorm(QueryNorm.Kind.BATCH, 1, 4, wide(1), 0);
    Tensor q = normal(6, 4);
    byte[] real = {1, 1, 1, 1, 0, 0};
    TokenContext padded = train(6).withPadding(Tensor.of(real).to(DType.BOOL));
    Tensor short4 = norm.apply(q.narrow(0, 0, 4), train(4));
    same(norm.apply(q, padded).narrow(0, 0, 4), short4, 1e-12);
  }

  @Test
  void aMillionExpertsAreNeverTouchedAltogether() {
    ParameterStore store = new ParameterStore(1);
    MoeConfig config =
        MoeConfig.builder(2, 1, 1 << 20, 4)
            .router("peer", Map.of("heads", 2, "key-width", 4))
            .build();
    MoeLayer layer = new MoeLayer(config, store);
    assertThat(config.parameters()).isEqualTo(store.count(p -> true));
    Tensor x = random.normal(5, 2);
    MoeOutput out = layer.forward(x, train(5));
    out.output().sum().backward();
    Tensor g = store.named("experts.w_up").tensor().grad().orElseThrow();
    assertThat(g.isRows()).isTrue();
    assertThat(g.rowIndex().numel()).isBetween(1L, 40L);
    assertThat(g.size(0)).isEqualTo(1 << 20);
  }

  @Test
  void usageIsMeasured() {
    ExpertUsage usage = new ExpertUsage(4);
    assertThat(usage.share()).isZero();
    Tensor even = Tensor.full(0.25, DType.F64, Device.CPU, 2, 4);
    Tensor ids = Tensor.of(new long[] {0, 1, 2, 3, 0, 1, 2, 3}, 2, 4);
    usage.add(new Retrieval(4, ids, even, Evidence.none()));
    assertThat(usage.share()).isEqualTo(1);
    assertThat(usage.unevenness()).isCloseTo(0, within(1e-12));
    ExpertUsage one = new ExpertUsage(4);
    Tensor always = Tensor.of(new long[] {2, 2, -1}, 3, 1);
    one.add(new Retrieval(4, always, Tensor.of(new double[] {0.2, 0.7, 9}, 3, 1), Evidence.none()));
    assertThat(one.share()).isEqualTo(0.25);
    assertThat(one.unevenness()).isCloseTo(Math.log(4), within(1e-12));
  }

  @Test
  void whatCannotBeIsRefusedInOneLine() {
    assertThatThrownBy(() -> new MoeLayer(config("peer", 15, 2, Map.of()), wide(1)))
        .isInstanceOf(MoeException.class)
        .hasMessageContaining("square number of experts, not 15; set experts to 16");
    assertThatThrownBy(() -> config("peer", 16, 17, Map.of()))
        .hasMessageContaining("top-k 17 is more than the 16 experts");
    assertThatThrownBy(() -> new MoeLayer(config("peer", 16, 2, Map.of("key-width", 5)), wide(1)))
        .hasMessageContaining("two halves of a query, whose width is 5");
    assertThatThrownBy(() -> new MoeLayer(config("pkm", 16, 2, Map.of("key-width", 4)), wide(1)))
        .hasMessageContaining("option key-width 4 and option query \"hidden\"");
    assertThatThrownBy(() -> new MoeLayer(config("peer", 16, 2, Map.of("heads", 0)), wide(1)))
        .hasMessageContaining("option heads is 0");
  }
}

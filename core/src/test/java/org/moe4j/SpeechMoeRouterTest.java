package org.moe4j;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.Device;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.RandomSource;
import org.moe4j.tensor.Tensor;

/** What S10 says of its router and its two losses. */
class SpeechMoeRouterTest extends InScope {
  private static final int D = 5;
  private static final int E = 4;
  private static final int WIDTH = 3;
  private static final List<Balance> LOSSES = List.of(new SparsityL1(), new MeanImportance());

  private final ParameterStore store = wide(1);

  private MoeLayer layer(int index) {
    MoeConfig config =
        MoeConfig.builder(D, 4, E, 1)
            .router("speech-moe", Map.of("embedding-width", WIDTH, "embedding-classes", 7))
            .init(InitScheme.T5)
            .balance(new SparsityL1(), 0.1)
            .balance(new MeanImportance(), 0.1)
            .build();
    return new MoeLayer(config, store.under("layers." + index), index);
  }

  private static TokenContext train(long b, long s) {
    return TokenContext.train(b, s, new RandomSource(5));
  }

  private static TokenContext known(long b, long s) {
    return train(b, s).withIds(Tensor.arange(0, b * s).mul(3.0).to(DType.I64));
  }

  private double[][] parameter(String name) {
    Tensor p = store.named(name).tensor();
    return rows(p.dim() == 1 ? p.unsqueeze(0) : p);
  }

  /** The embedding network by loops. */
  private double[][] embedding(double[][] x) {
    return Arrays.stream(x)
        .map(row -> relu(parameter("speech_embedding.w_1"), parameter("speech_embedding.b_1"), row))
        .map(row -> relu(parameter("speech_embedding.w_2"), parameter("speech_embedding.b_2"), row))
        .toArray(double[][]::new);
  }

  private static double[] relu(double[][] w, double[][] b, double[] x) {
    double[] y = Loops.matvec(w, x);
    for (int i = 0; i < y.length; i++) {
      y[i] = Math.max(0, y[i] + b[0][i]);
    }
    return y;
  }

  @Test
  void theFirstLayersEmbeddingIsBeforeEveryLayersHiddenState() {
    MoeLayer first = layer(0);
    MoeLayer second = layer(3);
    Tensor x = normal(9, D);
    Tensor later = normal(9, D);
    TokenContext context = TokenContext.eval(3, 3);
    first.forward(x, context);
    TokenChoice r = (TokenChoice) second.forward(later, context).routing();
    double[][] e = embedding(rows(x));
    for (int t = 0; t < 9; t++) {
      double[] input = new double[WIDTH + D];
      System.arraycopy(e[t], 0, input, 0, WIDTH);
      System.arraycopy(rows(later)[t], 0, input, WIDTH, D);
      double[] p = Loops.softmax(Loops.matvec(parameter("layers.3.gate.weight"), input));
      int best = Loops.top(p, 1)[0];
      assertThat(indices(r.experts())[t]).containsExactly(best);
      assertThat(rows(r.weights())[t][0]).isCloseTo(p[best], within(1e-12));
    }
    // One network for both layers.
    assertThat(store.all().stream().filter(p -> p.name().startsWith("speech_embedding")))
        .hasSize(5);
    MoeConfig c = first.config();
    assertThat(2 * c.parameters() - c.commonParameters()).isEqualTo(store.count(p -> true));
  }

  @Test
  void theOutputIsTheBestExpertsTimesItsProbability() {
    MoeLayer layer = layer(0);
    Tensor x = normal(6, D);
    MoeOutput out = layer.forward(x, TokenContext.eval(1, 6));
    TokenChoice r = (TokenChoice) out.routing();
    FeedForwardExperts bank = (FeedForwardExperts) layer.experts();
    double[][] expected = new double[6][];
    for (int t = 0; t < 6; t++) {
      int e = indices(r.experts())[t][0];
      double[] y =
          Loops.expert(
              bank.form(),
              rows(bank.in().tensor().select(0, e)),
              rows(bank.out().tensor().select(0, e)),
              new double[0],
              new double[0],
              rows(x)[t]);
      double weight = rows(r.weights())[t][0];
      expected[t] = Arrays.stream(y).map(v -> v * weight).toArray();
    }
    same(out.output(), matrix(expected), 1e-12);
  }

  @Test
  void withoutTheEmbeddingsColumnsTheRoutingDoesNotDependOnIt() {
    MoeLayer layer = layer(0);
    Tensor w = store.named("layers.0.gate.weight").tensor().detach();
    w.narrow(1, 0, WIDTH).fillInPlace(0);
    Tensor x = normal(6, D);
    double[] before =
        ((TokenChoice) layer.forward(x, TokenContext.eval(1, 6)).routing()).weights().toDoubles();
    store.named("speech_embedding.w_1").tensor().detach().fillInPlace(0.7);
    double[] after =
        ((TokenChoice) layer.forward(x, TokenContext.eval(1, 6)).routing()).weights().toDoubles();
    assertThat(after).containsExactly(before);
  }

  @Test
  void onlyItsOwnLossTrainsTheEmbedding() {
    MoeLayer layer = layer(0);
    Tensor x = normal(6, D).requiresGrad(true);
    MoeOutput silent = layer.forward(x, train(2, 3));
    assertThat(silent.losses()).containsOnlyKeys("sparsity-l1", "mean-importance");
    silent.output().sum().add(silent.balance()).backward();
    for (Parameter p : store.all()) {
      boolean embedding = p.name().startsWith("speech_embedding");
      assertThat(p.tensor().grad().isPresent()).as(p.name()).isEqualTo(!embedding);
      p.tensor().clearGrad();
    }
    x.clearGrad();
    MoeOutput out = layer.forward(x, known(2, 3));
    Tensor own = out.losses().get("embedding");
    own.backward();
    for (Parameter p : store.all()) {
      boolean embedding = p.name().startsWith("speech_embedding");
      assertThat(p.tensor().grad().isPresent()).as(p.name()).isEqualTo(embedding);
    }
    assertThat(x.grad()).isEmpty();
    assertThat(layer.forward(x, TokenContext.eval(2, 3)).losses()).isEmpty();
  }

  @Test
  void itsOwnLossIsTheCrossEntropyOfTheNextTokensClass() {
    MoeLayer layer = layer(0);
    Tensor x = normal(8, D);
    byte[] real = {1, 1, 1, 0, 1, 1, 1, 1};
    long[] text = {0, 0, 0, 0, 1, 1, 2, 2};
    TokenContext context =
        known(2, 4)
            .withPadding(Tensor.of(real).to(DType.BOOL))
            .withSequenceIndex(Tensor.of(text, 8));
    double loss = layer.forward(x, context).losses().get("embedding").item();
    double[][] e = embedding(rows(x));
    double sum = 0;
    int count = 0;
    for (int t = 0; t < 7; t++) {
      if (t % 4 < 3 && real[t] * real[t + 1] == 1 && text[t] == text[t + 1]) {
        double[] z = Loops.matvec(parameter("speech_embedding.head"), e[t]);
        sum += Loops.logSumExp(z) - z[(t + 1) * 3 % 7];
        count++;
      }
    }
    assertThat(count).isEqualTo(4);
    assertThat(loss).isCloseTo(0.01 * sum / count, within(1e-12));
  }

  private static Tensor loss(Balance loss, Tensor p) {
    TokenContext context = TokenContext.eval(1, p.size(0));
    return loss.loss(plan(p), context);
  }

  private static Retrieval plan(Tensor p) {
    return new Retrieval(1, Tensor.of(new long[0], 0, 1), p, Evidence.of(p, p, p, p));
  }

  @Test
  void theLossesHaveTheirBounds() {
    Tensor sure = Tensor.of(new double[] {0, 1, 0, 0, 1, 0, 0, 0}, 2, E);
    Tensor even = Tensor.full(0.25, DType.F64, Device.CPU, 3, E);
    Tensor same = Tensor.of(new double[] {0, 1, 0, 0, 0, 1, 0, 0}, 2, E);
    assertThat(loss(new SparsityL1(), sure).item()).isCloseTo(1, within(1e-12));
    assertThat(loss(new SparsityL1(), even).item()).isCloseTo(2, within(1e-12));
    assertThat(loss(new MeanImportance(), even).item()).isCloseTo(1, within(1e-12));
    assertThat(loss(new MeanImportance(), same).item()).isCloseTo(E, within(1e-12));
    for (Balance loss : LOSSES) {
      assertThat(loss(loss, normal(0, E)).item()).isZero();
    }
  }

  @Test
  void theLossesAreTheFormulasAndHaveTheirGradients() {
    Tensor z = normal(7, E);
    byte[] real = {1, 0, 1, 1, 1, 0, 1};
    TokenContext context = TokenContext.eval(1, 7).withPadding(Tensor.of(real).to(DType.BOOL));
    double[][] p = rows(z.softmax(-1));
    double sparsity = 0;
    double[] mean = new double[E];
    for (int t = 0; t < 7; t++) {
      double length = Math.sqrt(Arrays.stream(p[t]).map(v -> v * v).sum());
      sparsity += real[t] / length / 5;
      for (int e = 0; e < E; e++) {
        mean[e] += real[t] * p[t][e] / 5;
      }
    }
    double importance = E * Arrays.stream(mean).map(v -> v * v).sum();
    Tensor order = Tensor.of(new long[] {2, 0, 3, 1});
    double[] expected = {sparsity, importance};
    for (int i = 0; i < 2; i++) {
      Balance loss = LOSSES.get(i);
      assertThat(loss.loss(plan(z.softmax(-1)), context).item())
          .isCloseTo(expected[i], within(1e-12));
      assertThat(loss.loss(plan(z.softmax(-1).indexSelect(1, order)), context).item())
          .as("experts renamed")
          .isCloseTo(expected[i], within(1e-12));
      Tensor leaf = z.copy().requiresGrad(true);
      slopes(loss.name(), leaf, 1e-6, () -> loss.loss(plan(leaf.softmax(-1)), context));
    }
    Tensor leaf = z.softmax(-1).copy().requiresGrad(true);
    loss(new MeanImportance(), leaf).backward();
    double[] all = leaf.detach().mean(0, false).toDoubles();
    for (double[] row : rows(leaf.grad().orElseThrow())) {
      for (int e = 0; e < E; e++) {
        assertThat(row[e]).isCloseTo(2.0 * E * all[e] / 7, within(1e-12));
      }
    }
  }

  @Test
  void layersWithOtherTokensAreRefusedWithBothNumbers() {
    TokenContext context = TokenContext.eval(1, 6);
    layer(0).forward(normal(6, D), context);
    Router second = layer(1).router();
    assertThatThrownBy(() -> second.route(normal(4, D), context.atLayer(1)))
        .isInstanceOf(MoeException.class)
        .hasMessageContaining("the shared embedding has 6 tokens, this layer 4");
  }
}

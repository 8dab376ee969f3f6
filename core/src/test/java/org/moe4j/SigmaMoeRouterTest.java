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

/** What S29 says of sigma-MoE. */
class SigmaMoeRouterTest extends InScope {
  private static final int D = 5;
  private static final int E = 6;

  private static MoeConfig config(int experts, int k, Map<String, ?> options) {
    return MoeConfig.builder(D, 3, experts, k)
        .router("sigma-moe", options)
        .form(ExpertForm.RELU)
        .build();
  }

  private static Router router(int experts, int k, Map<String, ?> options, ParameterStore store) {
    return new MoeLayer(config(experts, k, options), store).router();
  }

  private static TokenContext train(long tokens) {
    return TokenContext.train(1, tokens, new RandomSource(5));
  }

  private static double[][] logits(Tensor x, ParameterStore store) {
    return rows(x.matmul(store.named("gate.weight").tensor().detach().t()));
  }

  @Test
  void weightsAreTheSigmoidsOfTheBestLogits() {
    ParameterStore store = wide(1);
    Router router = router(E, 2, Map.of(), store);
    Tensor x = normal(20, D);
    TokenChoice r = (TokenChoice) router.route(x, train(20));
    double[][] z = logits(x, store);
    for (int t = 0; t < 20; t++) {
      int[] top = Loops.top(z[t], 2);
      assertThat(indices(r.experts())[t]).containsExactly(top);
      assertThat(rows(r.weights())[t])
          .containsExactly(
              new double[] {Loops.sigmoid(z[t][top[0]]), Loops.sigmoid(z[t][top[1]])},
              within(1e-12));
    }
  }

  @Test
  void withAllExpertsAtWeightOneTheLayerIsTheDenseOne() {
    ParameterStore store = wide(1);
    FeedForwardExperts bank =
        (FeedForwardExperts) new MoeLayer(config(E, E, Map.of()), store).experts();
    Tensor x = normal(4, D);
    Tensor every = Tensor.arange(0, E).unsqueeze(0).expand(4, E).contiguous();
    TokenChoice all =
        TokenChoice.of(E, every, Tensor.ones(4, E).to(DType.F64), Gating.FIXED, Evidence.none());
    Tensor y = new DroplessDispatcher().apply(x, all, bank, TokenContext.eval(1, 4));
    Tensor in = bank.in().tensor().detach().reshape(3L * E, D);
    Tensor out = bank.out().tensor().detach().transpose(0, 1).reshape(D, 3L * E);
    Tensor dense = Activation.RELU.of(x.matmul(in.t())).matmul(out.t());
    same(y.detach(), dense, 1e-12);
  }

  @Test
  void theStartIsThatOfTheDenseLayer() {
    int d = 64;
    int h = 32;
    int experts = 16;
    MoeConfig config =
        MoeConfig.builder(d, h, experts, 4)
            .router("sigma-moe", Map.of("model-layers", 3))
            .form(ExpertForm.RELU)
            .build();
    ParameterStore store = new ParameterStore(1);
    FeedForwardExperts bank = (FeedForwardExperts) new MoeLayer(config, store).experts();
    double in = deviation(bank.in().tensor().toDoubles());
    double out = deviation(bank.out().tensor().toDoubles());
    assertThat(in).isCloseTo(Math.sqrt(2.0 / (d * 3)), within(0.002));
    assertThat(out).isCloseTo(Math.sqrt(2.0 / (experts * h * 3)), within(0.001));
    double[][] gate = rows(store.named("gate.weight").tensor());
    double length = length(gate[0]);
    for (double[] row : gate) {
      assertThat(length(row)).isCloseTo(length, within(1e-6 * length));
    }
  }

  @Test
  void equalRowsKeepTheDeviationTheyHad() {
    Tensor before = new RandomSource(4).normal(0, 0.3, DType.F32, 10, 7);
    Tensor after = SigmaMoeRouter.equalRows(0.3).make(new RandomSource(4), 10, 7);
    assertThat(deviation(after.toDoubles())).isCloseTo(deviation(before.toDoubles()), within(1e-6));
    assertThat(SigmaMoeRouter.equalRows(0.3).make(new RandomSource(4), 1, 1).allFinite()).isTrue();
  }

  private static double deviation(double[] v) {
    double mean = Arrays.stream(v).average().orElse(0);
    return Math.sqrt(Arrays.stream(v).map(x -> (x - mean) * (x - mean)).average().orElse(0));
  }

  private static double length(double[] v) {
    return Math.sqrt(Arrays.stream(v).map(x -> x * x).sum());
  }

  @Test
  void expertsAreLeftOutAsOftenAsAskedAndInTrainingAlone() {
    double p = 0.3;
    int tokens = 100_000;
    ParameterStore store = wide(1);
    Router router = router(E, 1, Map.of("expert-dropout", p), store);
    Tensor x = normal(1, D).expand(tokens, D).contiguous();
    int best = Loops.top(logits(x.narrow(0, 0, 1), store)[0], 1)[0];
    TokenChoice r = (TokenChoice) router.route(x, train(tokens));
    long kept = Arrays.stream(r.experts().toLongs()).filter(e -> e == best).count();
    assertThat((double) kept / tokens)
        .isCloseTo(1 - p, within(3 * Math.sqrt(p * (1 - p) / tokens)));
    TokenChoice eval = (TokenChoice) router.route(x, TokenContext.eval(1, tokens));
    assertThat(eval.experts().toLongs()).containsOnly(best);
  }

  @Test
  void ifTooFewRemainTheLeftOutFollowInTheirOrderWithTheirOwnScores() {
    ParameterStore store = wide(1);
    Router router = router(E, E, Map.of("expert-dropout", 0.9), store);
    Tensor x = normal(50, D);
    TokenChoice r = (TokenChoice) router.route(x, train(50));
    double[][] z = logits(x, store);
    double[][] left = rows(new RandomSource(5).uniform(50, E).lt(0.9).to(DType.F64));
    for (int t = 0; t < 50; t++) {
      double[] order = z[t].clone();
      for (int e = 0; e < E; e++) {
        order[e] -= left[t][e] * 1e6;
      }
      int[] expected = Loops.top(order, E);
      assertThat(indices(r.experts())[t]).containsExactly(expected);
      for (int j = 0; j < E; j++) {
        assertThat(rows(r.weights())[t][j])
            .isCloseTo(Loops.sigmoid(z[t][expected[j]]), within(1e-12));
      }
    }
  }

  @Test
  void noTokenIsDroppedHoweverUnevenTheRouting() {
    ParameterStore store = wide(1);
    MoeLayer layer = new MoeLayer(config(E, 1, Map.of()), store);
    Tensor x = normal(1, D).expand(40, D).contiguous();
    MoeOutput out = layer.forward(x, train(40));
    assertThat(out.stats().dropRate()).isZero();
    assertThat(Arrays.stream(out.stats().served()).max().orElse(0)).isEqualTo(40);
  }

  @Test
  void theEntropyIsOfTheMeanSoftmaxOfRawLogits() {
    ParameterStore store = wide(1);
    Router router = router(E, 2, Map.of("expert-dropout", 0.5), store);
    Tensor x = normal(11, D);
    byte[] real = {1, 1, 0, 1, 1, 1, 1, 1, 1, 0, 1};
    TokenContext context = train(11).withPadding(Tensor.of(real).to(DType.BOOL));
    double[][] z = logits(x, store);
    double[] mean = new double[E];
    for (int t = 0; t < 11; t++) {
      double[] p = Loops.softmax(z[t]);
      for (int e = 0; e < E; e++) {
        mean[e] += real[t] * p[e] / 9;
      }
    }
    double expected = Arrays.stream(mean).map(p -> p * Math.log(p)).sum();
    BatchEntropy loss = new BatchEntropy();
    assertThat(loss.loss(router.route(x, context), context).item())
        .isCloseTo(expected, within(1e-12));
    slopes(
        "gate",
        store.named("gate.weight").tensor(),
        1e-6,
        () -> loss.loss(router.route(x, context), context));
  }

  private static Tensor entropy(Tensor logits) {
    Evidence evidence = Evidence.of(logits, logits, logits, logits);
    TokenContext context = TokenContext.eval(1, logits.size(0));
    return new BatchEntropy()
        .loss(new Retrieval(1, Tensor.of(new long[0], 0, 1), logits, evidence), context);
  }

  @Test
  void theEntropyHasItsBoundsAndCanBeMergedFromParts() {
    assertThat(entropy(Tensor.full(3, DType.F64, Device.CPU, 4, E)).item())
        .isCloseTo(-Math.log(E), within(1e-12));
    Tensor sure = Tensor.of(new double[] {900, 0, 0, 800, 0, 0}, 2, 3);
    assertThat(entropy(sure).item()).isCloseTo(0, within(1e-12));
    assertThat(entropy(normal(0, E)).item()).isZero();
    Tensor z = normal(10, E);
    assertThat(entropy(z.add(7)).item()).isCloseTo(entropy(z).item(), within(1e-12));
    // Two unequal micro-batches, merged as logarithms weighted with their sizes.
    Tensor first = BatchEntropy.logMean(z.narrow(0, 0, 4)).add(Math.log(0.4));
    Tensor rest = BatchEntropy.logMean(z.narrow(0, 4, 6)).add(Math.log(0.6));
    Tensor merged = Tensor.stack(List.of(first, rest), 0).logsumexp(0, false);
    same(merged, BatchEntropy.logMean(z), 1e-12);
  }

  @Test
  void impossibleOptionsAreRefused() {
    assertThatThrownBy(() -> router(E, 2, Map.of("expert-dropout", 1), wide(1)))
        .isInstanceOf(MoeException.class)
        .hasMessageContaining("option expert-dropout is 1.0");
    assertThatThrownBy(() -> router(E, 2, Map.of("model-layers", 0), wide(1)))
        .hasMessageContaining("option model-layers is 0");
    assertThatThrownBy(() -> router(E, 2, Map.of("order", "select-then-score"), wide(1)))
        .hasMessageContaining("chooses by scores alone");
    assertThatThrownBy(() -> config(E, E + 1, Map.of()))
        .hasMessageContaining("top-k 7 is more than the 6 experts");
  }
}

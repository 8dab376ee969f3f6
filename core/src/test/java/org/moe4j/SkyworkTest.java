package org.moe4j;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.Arrays;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.Device;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.RandomSource;
import org.moe4j.tensor.Tensor;

/** Skywork-MoE's router and its balance coefficients (S44). */
class SkyworkTest extends InScope {
  private static final int E = 5;
  private static final Capacity BUFFERS = Capacity.megablocks(1.25);
  private static final String STATE = "balance.adaptive-mean-gate-square";

  private static Gating gating(double lambda) {
    return Gating.MIXTRAL.with(Gating.Score.Z_SCORED).withLogitScale(lambda);
  }

  @Test
  void normalisedLogitsHaveMeanZeroAndTheGivenDeviation() {
    Tensor z = normal(40, E).mul(3).add(2);
    for (double lambda : new double[] {0.5, 1, 2}) {
      double[][] unit = rows(gating(lambda).prepared(z));
      for (double[] row : unit) {
        double mean = Arrays.stream(row).sum() / E;
        double squares = Arrays.stream(row).map(v -> (v - mean) * (v - mean)).sum();
        assertThat(mean).isCloseTo(0, within(1e-12));
        assertThat(Math.sqrt(squares / (E - 1))).isCloseTo(lambda, within(1e-9));
      }
      // The released code leaves the mean in: the softmax is the same.
      Tensor deviation = z.sub(z.mean(1, true)).square().sum(1, true).div(E - 1.0).sqrt();
      same(gating(lambda).prepared(z).softmax(1), z.mul(lambda).div(deviation).softmax(1), 1e-9);
    }
  }

  @Test
  void scaleAndShiftOfATokensLogitsDoNotMatter() {
    Tensor z = normal(40, E);
    Tensor a = random.uniform(0.5, 20, DType.F64, 40, 1);
    same(
        gating(1).prepared(z.mul(a).add(normal(40, 1))).softmax(1),
        gating(1).prepared(z).softmax(1),
        1e-9);
  }

  @Test
  void twoExpertsHaveOneConfidenceAndEqualLogitsAreEven() {
    double[][] two = rows(gating(1.5).prepared(normal(20, 2)));
    for (double[] row : two) {
      assertThat(Math.abs(row[0])).isCloseTo(1.5 / Math.sqrt(2), within(1e-6));
      assertThat(row[1]).isCloseTo(-row[0], within(1e-12));
    }
    for (DType type : new DType[] {DType.F64, DType.F32}) {
      Tensor constant = Tensor.full(0.3, type, Device.CPU, 7, E).requiresGrad(true);
      Tensor g = gating(1).prepared(constant).softmax(1);
      for (double share : g.toDoubles()) {
        assertThat(share).isCloseTo(0.2, within(0.01));
      }
      g.narrow(1, 0, 1).sum().backward();
      assertThat(constant.grad().orElseThrow().allFinite()).isTrue();
    }
  }

  @Test
  void gradientsPassMeanAndDeviationAndAreOrthogonalToBoth() {
    Tensor z = normal(6, E).requiresGrad(true);
    Tensor direction = normal(6, E);
    slopes("z", z, 1e-6, () -> gating(1.3).prepared(z).softmax(1).mul(direction).sum());
    gating(1.3).prepared(z).softmax(1).mul(direction).sum().backward();
    Tensor g = z.grad().orElseThrow();
    Tensor centred = z.detach().sub(z.detach().mean(1, true));
    same(g.sum(1, false), Tensor.zeros(DType.F64, Device.CPU, 6), 1e-12);
    same(g.mul(centred).sum(1, false), Tensor.zeros(DType.F64, Device.CPU, 6), 1e-10);
  }

  @Test
  void oneExpertHasNoDeviation() {
    MoeConfig one = MoeConfig.builder(6, 4, 1, 1).router("skywork").build();
    assertThatThrownBy(() -> new MoeLayer(one, wide(1)))
        .isInstanceOf(MoeException.class)
        .hasMessageContaining("\"skywork\"")
        .hasMessageContaining("1 expert does not have");
    MoeConfig plain =
        MoeConfig.builder(6, 4, 1, 1).router("skywork", Map.of("score", "softmax")).build();
    assertThat(new MoeLayer(plain, wide(1)).router()).isNotNull();
  }

  private static MoeConfig adaptive(Capacity capacity) {
    return MoeConfig.builder(6, 4, 4, 2)
        .router("skywork")
        .capacity(capacity)
        .balance(AdaptiveBalance.skywork(), 0.01)
        .build();
  }

  /** A step of 1,000 choices of which so many were dropped. */
  private static RoutingStats dropping(int choices) {
    return Counted.served(
        new long[] {250, 250, 250, 250}, new long[] {250 - choices, 250, 250, 250});
  }

  @Test
  void theCoefficientFollowsTheDropRate() {
    ParameterStore store = wide(1);
    MoeLayer layer = new MoeLayer(adaptive(BUFFERS), store);
    Parameter a = store.named(STATE);
    assertThat(a.tensor().item()).isEqualTo(0.01);
    for (double expected : new double[] {0.00994, 0.0098806, 0.009821794}) {
      layer.controllers().forEach(c -> c.update(dropping(20)));
      assertThat(a.tensor().item()).isCloseTo(expected, within(1e-15));
    }
    for (int i = 3; i < 300; i++) {
      layer.controllers().forEach(c -> c.update(dropping(20)));
    }
    assertThat(a.tensor().item()).isCloseTo(0.004 + 0.006 * Math.pow(0.99, 300), within(1e-12));
    for (int i = 0; i < 2000; i++) {
      layer.controllers().forEach(c -> c.update(dropping(200)));
    }
    assertThat(a.tensor().item()).isCloseTo(0.01, within(1e-9));
    layer.controllers().forEach(c -> c.update(dropping(0)));
    assertThat(a.tensor().item()).isCloseTo(0.0099, within(1e-9));
  }

  @Test
  void layersAreIndependentAndTheStateWeighsTheLoss() {
    ParameterStore store = wide(1);
    MoeLayer first = new MoeLayer(adaptive(BUFFERS), store.under("a"), 0);
    MoeLayer second = new MoeLayer(adaptive(BUFFERS), store.under("b"), 1);
    first.controllers().forEach(c -> c.update(dropping(0)));
    assertThat(store.named("a." + STATE).tensor().item()).isCloseTo(0.0099, within(1e-15));
    assertThat(store.named("b." + STATE).tensor().item()).isEqualTo(0.01);
    assertThat(store.named("b." + STATE).role()).isEqualTo(new Role.State(1));
    Tensor x = normal(8, 6);
    MoeOutput out = first.forward(x, TokenContext.train(1, 8, new RandomSource(1)));
    double raw = new MeanGateSquareBalance().loss(out.routing(), out.context()).item();
    assertThat(out.balance().item()).isCloseTo(0.0099 * raw, within(1e-15));
    assertThat(second.forward(x, TokenContext.eval(1, 8)).losses()).isEmpty();
    assertThat(store.count(p -> true)).isEqualTo(2 * first.config().parameters());
  }

  @Test
  void aDroplessLayerCountsLoadBeyondVirtualSlots() {
    ParameterStore store = wide(1);
    MoeLayer layer = new MoeLayer(adaptive(Capacity.NONE), store);
    layer.controllers().forEach(c -> c.update(Counted.loads(10, 10, 10, 10)));
    assertThat(store.named(STATE).tensor().item()).isCloseTo(0.0099, within(1e-15));
    // 1.25 * 10 slots: 1.5 of 40 choices are beyond.
    layer.controllers().forEach(c -> c.update(Counted.loads(14, 10, 10, 6)));
    assertThat(store.named(STATE).tensor().item())
        .isCloseTo(0.99 * 0.0099 + 0.01 * 0.2 * 1.5 / 40, within(1e-15));
  }

  private static TokenChoice routed(Tensor logits, TokenContext context) {
    Tensor p = logits.softmax(-1);
    Tensor choices = Selection.top(p, 2);
    return TokenChoice.of(
            E, choices, p.gather(1, choices), Gating.MIXTRAL, Evidence.of(logits, p, p, p.detach()))
        .onlyReal(context);
  }

  @Test
  void meanGateSquareEqualsTheLoop() {
    Balance loss = new MeanGateSquareBalance();
    TokenContext plain = TokenContext.eval(1, 10);
    assertThat(loss.loss(routed(Tensor.zeros(DType.F64, Device.CPU, 10, E), plain), plain).item())
        .isCloseTo(0, within(1e-15));
    double[][] sure = new double[10][E];
    for (double[] row : sure) {
      row[3] = 80;
    }
    assertThat(loss.loss(routed(matrix(sure), plain), plain).item())
        .isCloseTo((E - 1.0) / E, within(1e-12));
    byte[] real = {1, 1, 0, 1, 1, 0, 1, 1, 1, 1};
    TokenContext padded = plain.withPadding(Tensor.of(real).to(DType.BOOL));
    Tensor z = normal(10, E).mul(2).requiresGrad(true);
    double expected = 0;
    for (int e = 0; e < E; e++) {
      double mean = 0;
      for (int t = 0; t < 10; t++) {
        mean += real[t] * Loops.softmax(rows(z.detach())[t])[e] / 8;
      }
      expected += (1.0 / E - mean) * (1.0 / E - mean);
    }
    assertThat(loss.loss(routed(z, padded), padded).item()).isCloseTo(expected, within(1e-12));
    slopes("z", z, 1e-6, () -> loss.loss(routed(z, padded), padded));
  }

  @Test
  void theDropRateIsWhatBruteForceCounts() {
    MoeConfig config =
        MoeConfig.builder(6, 4, 4, 2)
            .router("skywork")
            .capacity(Capacity.megablocks(1))
            .init(InitScheme.T5)
            .build();
    MoeOutput out = new MoeLayer(config, wide(1)).forward(normal(30, 6), TokenContext.eval(1, 30));
    TokenChoice r = (TokenChoice) out.routing();
    long kept = Arrays.stream(r.experts().toLongs()).filter(e -> e >= 0).count();
    assertThat(kept).isLessThan(60);
    assertThat(out.stats().dropRate()).isCloseTo(1 - kept / 60.0, within(1e-12));
    MoeConfig roomy = config.toBuilder().capacity(Capacity.megablocks(4)).build();
    MoeOutput all = new MoeLayer(roomy, wide(1)).forward(normal(30, 6), TokenContext.eval(1, 30));
    assertThat(all.stats().dropRate()).isZero();
  }

  @Test
  void impossibleRulesAreRefused() {
    assertThatThrownBy(() -> new AdaptiveBalance(new MeanGateSquareBalance(), -1, 0.99, 1))
        .isInstanceOf(MoeException.class)
        .hasMessageContaining("xi -1.0");
    assertThatThrownBy(() -> new AdaptiveBalance(new MeanGateSquareBalance(), 0.2, 1, 1))
        .hasMessageContaining("beta 1.0");
  }
}

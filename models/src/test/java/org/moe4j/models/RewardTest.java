package org.moe4j.models;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.util.Arrays;
import java.util.Map;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.moe4j.MoeConfig;
import org.moe4j.Parameter;
import org.moe4j.ParameterStore;
import org.moe4j.TokenContext;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.Device;
import org.moe4j.tensor.RandomSource;
import org.moe4j.tensor.Scope;
import org.moe4j.tensor.Tensor;

/** Routers that learn by reinforcement get the log-likelihoods of the model's tokens (S17). */
class RewardTest {
  private final Scope scope = Scope.open();
  private final RandomSource random = new RandomSource(4);

  @AfterEach
  void closeScope() {
    scope.close();
  }

  private static Decoder decoder(String router, Map<String, ?> options) {
    MoeConfig moe = MoeConfig.builder(32, 16, 4, 1).router(router, options).build();
    DecoderConfig config =
        DecoderConfig.of(
                Tiny.VOCAB,
                32,
                AttentionConfig.of(32, 4),
                FeedForwardConfig.every(2, new FeedForwardConfig.Moe(moe)))
            .toBuilder()
            .maxPositions(64)
            .build();
    ParameterStore store = new ParameterStore(new RandomSource(1), Device.CPU, DType.F64);
    return new Decoder(config, store).withPrecision(DType.F64);
  }

  private static Tensor ids(long from) {
    long[] ids = new long[24];
    Arrays.setAll(ids, i -> (from + 7L * i) % Tiny.VOCAB);
    return Tensor.of(ids, 2, 12);
  }

  private static Tensor targets() {
    long[] ids = ids(7).toLongs();
    ids[3] = LmLoss.IGNORED;
    return Tensor.of(ids, 2, 12);
  }

  @Test
  void rewardsAreTheLogLikelihoodsOfTheTargets() {
    Tensor hidden = random.normal(0, 1, DType.F64, 24, 8);
    Tensor targets = targets().reshape(24);
    for (boolean leaf : new boolean[] {true, false}) {
      Tensor w = random.normal(0, 1, DType.F64, Tiny.VOCAB, 8);
      Tensor weight = leaf ? w : w.requiresGrad(true).mul(1);
      LmLoss.Scored scored = LmLoss.scored(hidden, weight, targets);
      double[] logs = LmLoss.logits(hidden, weight.detach()).logSoftmax(-1).toDoubles();
      double[] each = scored.reward().logLikelihood().toDoubles();
      byte[] counted = scored.reward().counted().toBytes();
      double sum = 0;
      for (int t = 0; t < 24; t++) {
        assertThat(counted[t]).isEqualTo((byte) (t == 3 ? 0 : 1));
        if (t != 3) {
          double expected = logs[t * Tiny.VOCAB + (int) targets.toLongs()[t]];
          assertThat(each[t]).isCloseTo(expected, within(1e-12));
          sum -= expected / 23;
        }
      }
      assertThat(scored.mean().item()).isCloseTo(sum, within(1e-12));
      assertThat(LmLoss.crossEntropy(hidden, weight, targets).item()).isCloseTo(sum, within(1e-12));
    }
  }

  @Test
  void everyLayersValueHeadAndPolicyLearnFromTheReward() {
    everythingLearns("rl-r", Map.of());
  }

  @Test
  void partsOfATokenAreRewardedAsItIs() {
    everythingLearns("mh-moe", Map.of("inner", "rl-r", "heads", 2));
  }

  private static void everythingLearns(String router, Map<String, ?> options) {
    try (Decoder model = decoder(router, options)) {
      TokenContext context = TokenContext.train(2, 12, new RandomSource(2));
      DecoderLoss loss = model.loss(ids(0), targets(), context);
      assertThat(loss.total().item()).isNotCloseTo(loss.crossEntropy().item(), within(1e-6));
      assertThat(context.carried().awaitsReward()).isFalse();
      loss.total().backward();
      for (Parameter p : model.parameters().all()) {
        if (p.name().contains("gate.")) {
          double[] gradient = p.tensor().grad().orElseThrow().toDoubles();
          assertThat(Arrays.stream(gradient).map(Math::abs).max().orElseThrow())
              .as(p.name())
              .isGreaterThan(1e-9);
        }
      }
    }
  }

  @Test
  void evaluationIsThePlainLoss() {
    try (Decoder model = decoder("rl-r", Map.of("policy", 1.0))) {
      DecoderLoss loss = model.loss(ids(0), targets(), TokenContext.eval(2, 12));
      assertThat(loss.total().item()).isEqualTo(loss.crossEntropy().item());
    }
  }
}

package org.moe4j;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.function.Supplier;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.Device;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.RandomSource;
import org.moe4j.tensor.Tensor;

class MoeLayerTest extends InScope {
  private static final int D = 6;

  private static MoeConfig.Builder config() {
    return MoeConfig.builder(D, 5, 4, 2).init(InitScheme.T5);
  }

  private static TokenContext train(long b, long s) {
    return TokenContext.train(b, s, new RandomSource(11));
  }

  @Test
  void parametersHaveTheirNamesShapesAndRoles() {
    try (ParameterStore store = new ParameterStore(1)) {
      MoeConfig config =
          config()
              .form(ExpertForm.SWIGLU.withBiases(true))
              .sharedExperts(2)
              .sharedForm(ExpertForm.RELU)
              .sharedGate(true)
              .outputBias(true)
              .gating(Gating.DEEPSEEK_V3)
              .build();
      new MoeLayer(config, store.under("layers.3.moe"), 3);
      assertThat(store.all())
          .extracting(p -> p.name() + Arrays.toString(p.tensor().shape()))
          .containsExactly(
              "layers.3.moe.gate.weight[4, 6]",
              "layers.3.moe.gate.e_score_correction_bias[4]",
              "layers.3.moe.experts.w_in[4, 10, 6]",
              "layers.3.moe.experts.w_out[4, 6, 5]",
              "layers.3.moe.experts.b_in[4, 10]",
              "layers.3.moe.experts.b_out[4, 6]",
              "layers.3.moe.shared.w_in[10, 6]",
              "layers.3.moe.shared.w_out[6, 10]",
              "layers.3.moe.shared.gate[1, 6]",
              "layers.3.moe.output_bias[6]");
      assertThat(store.named("layers.3.moe.gate.weight").role()).isEqualTo(new Role.Gate(3));
      assertThat(store.named("layers.3.moe.gate.e_score_correction_bias").isFrozen()).isTrue();
      assertThat(store.named("layers.3.moe.experts.w_in").role())
          .isEqualTo(new Role.RoutedExperts(3, 4));
      assertThat(store.named("layers.3.moe.shared.gate").role())
          .isEqualTo(new Role.SharedExpert(3));
      assertThat(store.named("layers.3.moe.output_bias").role()).isEqualTo(Role.NON_EXPERT);
      assertThat(store.count(p -> true)).isEqualTo(config.parameters());
    }
  }

  /** Every parameter's and the input's gradient, with a balance loss, against differences. */
  @ParameterizedTest
  @EnumSource(Dispatch.class)
  void gradientsEqualDifferences(Dispatch how) {
    for (Gating gating : List.of(Gating.MIXTRAL, Gating.SOFTMAX_TOP_K, Gating.LLAMA4)) {
      ParameterStore store = wide(3);
      MoeLayer layer =
          new MoeLayer(
              config()
                  .form(ExpertForm.SWIGLU.withBiases(true))
                  .gating(gating)
                  .dispatch(how)
                  .sharedExperts(1)
                  .sharedForm(ExpertForm.RELU)
                  .sharedGate(true)
                  .outputBias(true)
                  .balance(FractionBalance.megablocks(), 0.3)
                  .balance(new RouterZLoss(), 0.1)
                  .build(),
              store);
      Tensor x = normal(2, 3, D).requiresGrad(true);
      Tensor weighting = normal(2, 3, D);
      Supplier<Tensor> loss =
          () -> {
            MoeOutput out = layer.forward(x, train(2, 3));
            return out.output().mul(weighting).sum().add(out.balance());
          };
      slopes("x", x, 1e-6, loss);
      store.all().forEach(p -> slopes(p.name(), p.tensor(), 1e-6, loss));
      store.close();
    }
  }

  /** Values on both sides of every bound, with and without the biases the fast path leaves out. */
  @ParameterizedTest
  @EnumSource(Dispatch.class)
  void gradientsOfClampedFormsEqualDifferences(Dispatch how) {
    for (boolean biases : new boolean[] {true, false}) {
      ParameterStore store = wide(4);
      ExpertForm form =
          ExpertForm.GPT_OSS.withBiases(biases).withClamp(new ExpertForm.Clamp(0.4, 1));
      MoeLayer layer = new MoeLayer(config().form(form).dispatch(how).build(), store);
      Tensor x = normal(7, D).mul(2).copy().requiresGrad(true);
      Tensor weighting = normal(7, D);
      FeedForwardExperts experts = (FeedForwardExperts) layer.experts();
      Tensor projected = x.mm(experts.in().tensor().select(0, 0).t()).detach();
      assertThat(projected.max().item()).isGreaterThan(0.4);
      assertThat(projected.neg().max().item()).isGreaterThan(0.4);
      Supplier<Tensor> loss = () -> layer.forward(x, train(1, 7)).output().mul(weighting).sum();
      slopes("x", x, 1e-6, loss);
      store.all().forEach(p -> slopes(p.name(), p.tensor(), 1e-6, loss));
      store.close();
    }
  }

  @Test
  void theOutputBiasIsAddedOnceToEveryToken() {
    ParameterStore store = wide(1);
    MoeLayer layer = new MoeLayer(config().sharedExperts(1).outputBias(true).build(), store);
    Tensor x = normal(5, D);
    TokenContext context = TokenContext.eval(1, 5);
    Tensor before = layer.forward(x, context).output();
    Tensor bias = normal(D);
    layer.outputBias().orElseThrow().tensor().detach().copyInPlace(bias);
    same(layer.forward(x, context).output(), before.add(bias), 1e-12);
  }

  @Test
  void theBalanceLossIsTheSumOfItsWeightedTerms() {
    MoeLayer layer =
        new MoeLayer(
            config()
                .balance(FractionBalance.switchLoss(Grouping.BATCH), 0.01)
                .balance(new RouterZLoss(), 0.001)
                .build(),
            wide(1));
    Tensor x = normal(3, 4, D);
    MoeOutput out = layer.forward(x, train(3, 4));
    assertThat(out.losses()).containsOnlyKeys("switch", "z-loss");
    assertThat(out.losses().get("z-loss").item())
        .isCloseTo(
            0.001 * new RouterZLoss().loss(out.routing(), out.context()).item(), within(1e-15));
    assertThat(out.balance().item())
        .isCloseTo(out.losses().values().stream().mapToDouble(Tensor::item).sum(), within(1e-15));
    assertThat(layer.forward(x, TokenContext.eval(3, 4)).balance().item()).isZero();
  }

  @Test
  void tokensPermuteWithTheirOutputs() {
    MoeLayer layer = new MoeLayer(config().build(), wide(1));
    Tensor x = normal(9, D);
    Tensor order = random.permutation(9);
    TokenContext context = TokenContext.eval(1, 9);
    same(
        layer.forward(x.indexSelect(0, order), context).output(),
        layer.forward(x, context).output().indexSelect(0, order),
        1e-12);
  }

  @Test
  void relabelledExpertsGiveTheSameOutput() {
    ParameterStore store = wide(1);
    MoeLayer layer = new MoeLayer(config().gating(Gating.TOP_K_SOFTMAX).build(), store);
    Tensor x = normal(9, D);
    TokenContext context = TokenContext.eval(1, 9);
    Tensor before = layer.forward(x, context).output();
    Tensor order = Tensor.of(new long[] {2, 0, 3, 1});
    store
        .all()
        .forEach(p -> p.tensor().detach().copyInPlace(p.tensor().detach().indexSelect(0, order)));
    same(layer.forward(x, context).output(), before, 1e-12);
  }

  @Test
  void inBf16TheRouterStaysInF32() {
    for (double jitter : new double[] {0, 0.01}) {
      ParameterStore store = new ParameterStore(1);
      MoeLayer layer =
          new MoeLayer(
              config()
                  .router("softmax-top-k", Map.of("jitter", jitter))
                  .sharedExperts(1)
                  .balance(new RouterZLoss(), 1e-3)
                  .build(),
              store);
      Tensor x = random.normal(2, 8, D).to(DType.BF16).requiresGrad(true);
      MoeOutput out = layer.forward(x, train(2, 8));
      assertThat(out.output().dtype()).isEqualTo(DType.BF16);
      assertThat(out.routing().evidence().logits().orElseThrow().dtype()).isEqualTo(DType.F32);
      assertThat(((TokenChoice) out.routing()).weights().dtype()).isEqualTo(DType.F32);
      out.output().to(DType.F32).square().sum().add(out.balance()).backward();
      assertThat(store.all())
          .allSatisfy(
              p -> assertThat(p.tensor().grad().orElseThrow().dtype()).isEqualTo(DType.F32));
      MoeOutput exact = layer.forward(x.detach().to(DType.F32), train(2, 8));
      same(out.output(), exact.output(), 3e-2 * exact.output().abs().max().item());
    }
  }

  @Test
  void theInputIsNotTouchedByJitterAndTheGateNotByAForwardPass() {
    ParameterStore store = new ParameterStore(1);
    MoeLayer layer = new MoeLayer(MoeConfig.builder(D, 5, 4, 1).router("switch").build(), store);
    Tensor x = random.normal(7, D);
    float[] input = x.toFloats();
    float[] gate = store.named("gate.weight").tensor().toFloats();
    layer.forward(x, train(1, 7));
    assertThat(x.toFloats()).containsExactly(input);
    assertThat(store.named("gate.weight").tensor().toFloats()).containsExactly(gate);
  }

  @Test
  void switchScalesItsExpertByTheProbability() {
    ParameterStore store = wide(1);
    MoeLayer layer =
        new MoeLayer(
            MoeConfig.builder(D, 5, 4, 1)
                .router("switch")
                .form(ExpertForm.RELU)
                .init(InitScheme.T5)
                .build(),
            store);
    Tensor x = normal(7, D);
    double[][] y = rows(layer.forward(x, TokenContext.eval(1, 7)).output());
    for (int t = 0; t < 7; t++) {
      double[] p =
          Loops.softmax(Loops.matvec(rows(store.named("gate.weight").tensor()), rows(x)[t]));
      int e = Loops.top(p, 1)[0];
      double[] out =
          Loops.expert(
              ExpertForm.RELU,
              rows(store.named("experts.w_in").tensor().select(0, e)),
              rows(store.named("experts.w_out").tensor().select(0, e)),
              new double[0],
              new double[0],
              rows(x)[t]);
      for (int i = 0; i < D; i++) {
        assertThat(y[t][i]).isCloseTo(p[e] * out[i], within(1e-12));
      }
    }
  }

  @Test
  void aDroppedTokenLeavesZeroBehind() {
    MoeLayer layer =
        new MoeLayer(
            MoeConfig.builder(D, 5, 2, 1)
                .router("switch")
                .capacity(Capacity.of(new CapacityRule.Fixed(1), Grouping.BATCH, DropOrder.TOKEN))
                .build(),
            wide(1));
    Tensor one = normal(1, D);
    MoeOutput out = layer.forward(Tensor.cat(List.of(one, one, one), 0), TokenContext.eval(1, 3));
    double[][] y = rows(out.output());
    assertThat(y[0]).isNotEqualTo(new double[D]);
    assertThat(y[1]).containsOnly(0);
    assertThat(y[2]).containsOnly(0);
    assertThat(out.stats().dropRate()).isCloseTo(2.0 / 3, within(1e-12));
  }

  @Test
  void sharedWidthIsTheSumOfSeparateExperts() {
    ParameterStore store = wide(1);
    MoeLayer layer = new MoeLayer(config().sharedExperts(2).build(), store);
    SharedExpert shared = layer.shared().orElseThrow();
    Tensor x = normal(4, D);
    double[][] in = rows(shared.network().in().tensor()); // 20 rows: 10 gate, 10 up
    double[][] out = rows(shared.network().out().tensor());
    double[][] sum = new double[4][D];
    for (int part = 0; part < 2; part++) {
      double[][] a = new double[10][];
      double[][] b = new double[D][5];
      for (int i = 0; i < 5; i++) {
        a[i] = in[part * 5 + i];
        a[5 + i] = in[10 + part * 5 + i];
        for (int c = 0; c < D; c++) {
          b[c][i] = out[c][part * 5 + i];
        }
      }
      for (int t = 0; t < 4; t++) {
        double[] y =
            Loops.expert(ExpertForm.SWIGLU, a, b, new double[0], new double[0], rows(x)[t]);
        for (int c = 0; c < D; c++) {
          sum[t][c] += y[c];
        }
      }
    }
    same(shared.forward(x), matrix(sum), 1e-12);
  }

  @Test
  void finerExpertsWithEqualGatesAreTheCoarseExpert() {
    // An expert cut in two along its hidden width, both halves with the whole's weight (S36).
    FeedForwardExperts coarse =
        new FeedForwardExperts(ExpertForm.SWIGLU, 1, D, 6, 0, InitScheme.T5, wide(1), 0);
    FeedForwardExperts fine =
        new FeedForwardExperts(ExpertForm.SWIGLU, 2, D, 3, 0, InitScheme.T5, wide(2), 0);
    Tensor in = coarse.in().tensor().detach().view(2, 2, 3, D); // gate or up, half, row
    fine.in().tensor().detach().copyInPlace(in.transpose(0, 1).reshape(2, 6, D));
    Tensor out = coarse.out().tensor().detach().view(D, 2, 3);
    fine.out().tensor().detach().copyInPlace(out.transpose(0, 1).contiguous());
    Tensor x = normal(4, D);
    TokenContext context = TokenContext.eval(1, 4);
    Tensor weight = random.uniform(0, 1, DType.F64, 4, 1);
    Tensor whole = new DroplessDispatcher().apply(x, new Halves(weight).coarse(), coarse, context);
    Tensor halves = new DroplessDispatcher().apply(x, new Halves(weight).fine(), fine, context);
    same(halves, whole, 1e-12);
  }

  /** One expert, or its two halves, with the same weight. */
  private record Halves(Tensor weight) {
    TokenChoice coarse() {
      return TokenChoice.of(1, Tensor.of(new long[4], 4, 1), weight, Gating.FIXED, Evidence.none());
    }

    TokenChoice fine() {
      return TokenChoice.of(
          2,
          Tensor.of(new long[] {0, 1, 0, 1, 0, 1, 0, 1}, 4, 2),
          Tensor.cat(List.of(weight, weight), 1),
          Gating.FIXED,
          Evidence.none());
    }
  }

  @Test
  void expertDropoutActsInTrainingAlone() {
    MoeLayer layer = new MoeLayer(config().expertDropout(0.5).build(), wide(1));
    MoeLayer without = new MoeLayer(config().build(), wide(1));
    Tensor x = normal(5, D);
    same(
        layer.forward(x, TokenContext.eval(1, 5)).output(),
        without.forward(x, TokenContext.eval(1, 5)).output(),
        0);
    double[] a = layer.forward(x, train(1, 5)).output().toDoubles();
    assertThat(a).isNotEqualTo(without.forward(x, train(1, 5)).output().toDoubles());
    assertThat(layer.forward(x, train(1, 5)).output().toDoubles()).containsExactly(a);
  }

  @Test
  void forcedBalanceLoadsAllExpertsEqually() {
    MoeLayer layer = new MoeLayer(config().forceBalance(true).build(), wide(1));
    MoeOutput out = layer.forward(normal(10, D), TokenContext.eval(1, 10));
    assertThat(out.stats().served()).containsOnly(5);
    assertThat(out.stats().imbalance()).isEqualTo(1);
    for (double[] w : rows(((TokenChoice) out.routing()).weights())) {
      assertThat(w[0] + w[1]).isBetween(0.0, 1.0);
    }
  }

  @Test
  void aRecordedRoutingCanBeImposedOnOtherWeights() {
    MoeLayer first = new MoeLayer(config().gating(Gating.MIXTRAL).build(), wide(1), 2);
    MoeLayer second = new MoeLayer(config().gating(Gating.MIXTRAL).build(), wide(99), 2);
    RoutingRecord record = new RoutingRecord();
    Tensor x = normal(10, D);
    TokenContext context = TokenContext.eval(2, 5);
    TokenChoice told =
        (TokenChoice) first.withRouter(record::recording).forward(x, context).routing();
    MoeLayer obedient = second.withRouter(record::replaying);
    TokenChoice done = (TokenChoice) obedient.forward(x, context).routing();
    TokenChoice own = (TokenChoice) second.forward(x, context).routing();
    assertThat(done.experts().toLongs()).containsExactly(told.experts().toLongs());
    assertThat(done.experts().toLongs()).isNotEqualTo(own.experts().toLongs());
    assertThat(done.weights().toDoubles()).isNotEqualTo(told.weights().toDoubles());
    assertThatThrownBy(() -> obedient.forward(x, context))
        .isInstanceOf(MoeException.class)
        .hasMessage("layer 2: the record ends after 1 calls");
    record.rewind();
    assertThatThrownBy(() -> obedient.forward(normal(3, D), TokenContext.eval(1, 3)))
        .hasMessageContaining("the record holds 10 tokens with 2 choices, the run has 3");
    record.rewind();
    same(
        first.withRouter(record::replaying).forward(x, context).output(),
        first.forward(x, context).output(),
        0);
  }

  @Test
  void aReplayOfRejectedChoicesIsExact() {
    MoeLayer layer =
        new MoeLayer(config().router("gshard-top-2", Map.of("threshold", 1)).build(), wide(1));
    RoutingRecord record = new RoutingRecord();
    Tensor x = normal(10, D);
    Tensor y = layer.withRouter(record::recording).forward(x, train(1, 10)).output();
    TokenContext other = TokenContext.train(1, 10, new RandomSource(77));
    same(layer.withRouter(record::replaying).forward(x, other).output(), y, 0);
    assertThat(layer.forward(x, other).output().toDoubles()).isNotEqualTo(y.toDoubles());
  }

  @Test
  void wrongShapesAreRefusedInOneLine() {
    MoeLayer layer = new MoeLayer(config().build(), new ParameterStore(1), 4);
    assertThatThrownBy(() -> layer.forward(random.normal(2, 7), TokenContext.eval(1, 2)))
        .isInstanceOf(MoeException.class)
        .hasMessage("layer 4: the input is [2, 7], the layer's width is 6");
    assertThatThrownBy(() -> layer.forward(random.normal(2, D), TokenContext.eval(1, 3)))
        .hasMessage("layer 4: the input has 2 tokens, its context 1 x 3");
    MoeLayer noisy = new MoeLayer(config().router("noisy-top-k").build(), new ParameterStore(1));
    assertThatThrownBy(() -> noisy.forward(random.normal(2, D), TokenContext.of(Phase.TRAIN, 1, 2)))
        .hasMessageContaining("draws random numbers in phase TRAIN");
    assertThatThrownBy(
            () -> TokenContext.eval(1, 2).withPadding(Tensor.zeros(DType.BOOL, Device.CPU, 3)))
        .hasMessageContaining("there are 2 tokens");
    assertThatThrownBy(() -> TokenContext.eval(1, 2).withPadding(Tensor.zeros(2)))
        .hasMessageContaining("give a BOOL tensor");
  }
}

package org.moe4j;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.Device;
import org.moe4j.tensor.NoGrad;
import org.moe4j.tensor.Ops;
import org.moe4j.tensor.Tensor;

/** Experts without a gradient against the same experts with one. */
class ExpertInferenceTest extends InScope {
  private final int threads = Ops.threads();

  @AfterEach
  void restore() {
    Ops.threads(threads);
  }

  private static final List<ExpertForm> FORMS =
      List.of(
          ExpertForm.SWIGLU,
          ExpertForm.RELU,
          ExpertForm.GELU.withBiases(true),
          ExpertForm.GPT_OSS.withClamp(new ExpertForm.Clamp(0.5, 1)));

  private MoeLayer layer(MoeConfig.Builder config, DType type) {
    ParameterStore store = new ParameterStore(random, Device.CPU, type);
    MoeLayer layer = new MoeLayer(config.init(InitScheme.T5).build(), store);
    FeedForwardExperts experts = (FeedForwardExperts) layer.experts();
    for (Parameter b : List.of(experts.inBias(), experts.outBias()).stream()
        .flatMap(java.util.Optional::stream)
        .toList()) {
      b.tensor().detach().copyInPlace(normal(b.tensor().shape()));
    }
    return layer;
  }

  /** The largest difference, relative to the largest value, of a layer with and without gradients. */
  private static double difference(MoeLayer layer, Tensor x, TokenContext context) {
    Tensor expected = layer.forward(x, context).output().to(DType.F64);
    try (NoGrad off = NoGrad.open()) {
      Tensor y = layer.forward(x, context).output();
      assertThat(y.dtype()).isEqualTo(x.dtype());
      return y.to(DType.F64).sub(expected).abs().max().item() / expected.abs().max().item();
    }
  }

  @ParameterizedTest
  @CsvSource({"1,1,1", "1,64,8", "3,8,2", "8,64,8", "40,4,2", "700,3,2"})
  void givesTheSameNumbers(int tokens, int experts, int k) {
    Ops.threads(2);
    for (ExpertForm form : FORMS) {
      for (Gating gating : List.of(Gating.MIXTRAL, Gating.LLAMA4)) {
        MoeConfig.Builder config =
            MoeConfig.builder(40, 24, experts, k).form(form).gating(gating);
        Tensor x = normal(tokens, 40);
        TokenContext context = TokenContext.eval(1, tokens);
        assertThat(difference(layer(config, DType.F64), x, context)).isLessThan(1e-14);
        assertThat(difference(layer(config, DType.F32), x.to(DType.F32), context)).isLessThan(2e-6);
        for (DType held : List.of(DType.BF16, DType.F32)) {
          assertThat(difference(layer(config, held), x.to(DType.BF16), context)).isLessThan(0.03);
        }
      }
    }
  }

  @Test
  void workersShareTheRowsOfWideExperts() {
    Ops.threads(3);
    MoeConfig.Builder config = MoeConfig.builder(330, 300, 4, 1);
    for (int tokens : new int[] {1, 2, 9}) {
      MoeLayer layer = layer(config, DType.F64);
      assertThat(difference(layer, normal(tokens, 330), TokenContext.eval(1, tokens)))
          .isLessThan(1e-14);
    }
  }

  @Test
  void droppedChoicesAndPaddingGiveNothing() {
    MoeLayer layer =
        layer(MoeConfig.builder(8, 6, 4, 2).form(ExpertForm.GELU.withBiases(true)), DType.F64);
    Tensor x = normal(4, 8);
    TokenContext context =
        TokenContext.eval(2, 2)
            .withPadding(Tensor.of(new byte[] {0, 1, 1, 1}, 2, 2).to(DType.BOOL));
    assertThat(difference(layer, x, context)).isLessThan(1e-14);
    try (NoGrad off = NoGrad.open()) {
      assertThat(layer.forward(x, context).output().select(0, 0).abs().max().item()).isZero();
      TokenContext nothing =
          TokenContext.eval(1, 4).withPadding(Tensor.zeros(DType.BOOL, Device.CPU, 1, 4));
      assertThat(layer.forward(x, nothing).output().abs().max().item()).isZero();
    }
  }
}

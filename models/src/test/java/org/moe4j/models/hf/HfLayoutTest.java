package org.moe4j.models.hf;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.moe4j.AdaptiveBalance;
import org.moe4j.Capacity;
import org.moe4j.Dispatch;
import org.moe4j.ExpertForm;
import org.moe4j.Gating;
import org.moe4j.Grouping;
import org.moe4j.MoeConfig;
import org.moe4j.ParameterStore;
import org.moe4j.models.Decoder;
import org.moe4j.models.DecoderConfig;
import org.moe4j.models.FeedForwardConfig;
import org.moe4j.models.Tiny;
import org.moe4j.tensor.Tensor;

class HfLayoutTest {
  private static DecoderConfig with(MoeConfig moe) {
    DecoderConfig c = Tiny.mixtral();
    return DecoderConfig.of(
        c.vocab(),
        c.hidden(),
        c.attention(),
        FeedForwardConfig.every(2, new FeedForwardConfig.Moe(moe)));
  }

  private static MoeConfig.Builder mixtral() {
    return Tiny.mixtral().feedForward().getFirst().sparse().orElseThrow().toBuilder();
  }

  private static List<String> whyNotMixtral(MoeConfig.Builder moe) {
    HfLayout.Choice choice = HfLayout.choose(with(moe.build()));
    assertThat(choice.layout()).isEqualTo(HfLayout.MOE4J);
    return choice.obstacles().get(HfLayout.MIXTRAL);
  }

  @Test
  void familiesAreTakenWhereTheyFit() {
    assertThat(HfLayout.choose(Tiny.olmoe()).layout()).isEqualTo(HfLayout.OLMOE);
    assertThat(HfLayout.choose(Tiny.mixtral()).layout()).isEqualTo(HfLayout.MIXTRAL);
    assertThat(HfLayout.choose(with(mixtral().gating(Gating.TOP_K_SOFTMAX).build())).layout())
        .isEqualTo(HfLayout.MIXTRAL);
    for (Gating.Rounding rounding : Gating.Rounding.values()) {
      MoeConfig rounded = mixtral().gating(Gating.MIXTRAL.with(rounding)).build();
      assertThat(HfLayout.choose(with(rounded)).layout()).isEqualTo(HfLayout.MIXTRAL);
    }
    MoeConfig oneExpert =
        MoeConfig.builder(32, 24, 4, 1)
            .router("switch", Map.of("renormalise", "before-drop"))
            .build();
    assertThat(HfLayout.choose(with(oneExpert)).layout()).isEqualTo(HfLayout.MIXTRAL);
    MoeConfig trained = mixtral().expertDropout(0.1).build();
    assertThat(HfLayout.choose(with(trained)).layout()).isEqualTo(HfLayout.MIXTRAL);
  }

  @Test
  void whatNoFamilyComputesIsOurs() {
    assertThat(whyNotMixtral(mixtral().gating(Gating.SOFTMAX_TOP_K))).containsExactly("its gating");
    assertThat(whyNotMixtral(mixtral().gating(Gating.MIXTRAL.withScale(2))))
        .containsExactly("its gating");
    assertThat(whyNotMixtral(mixtral().form(ExpertForm.GEGLU)))
        .containsExactly("experts are not SwiGLU without biases");
    assertThat(whyNotMixtral(mixtral().sharedWidth(8))).containsExactly("a shared expert");
    assertThat(whyNotMixtral(mixtral().outputBias(true)))
        .containsExactly("a bias on the sparse layer's output");
    MoeConfig.Builder dropping =
        mixtral().capacity(Capacity.lingvo(2, Grouping.BATCH)).dispatch(Dispatch.BUFFERS);
    assertThat(whyNotMixtral(dropping)).containsExactly("a capacity at evaluation");
  }

  @Test
  void routersThatAreNotLinearAreOurs() {
    assertThat(whyNotMixtral(mixtral().router("noisy-top-k")))
        .containsExactly("router noisy-top-k");
  }

  @Test
  void aModelWhoseStateWouldBeLostIsOurs() {
    MoeConfig adaptive = mixtral().balance(AdaptiveBalance.skywork(), 0.01).build();
    assertThat(whyNotMixtral(adaptive.toBuilder()))
        .containsExactly("balance coefficients that adapt");
    assertThat(whyNotMixtral(mixtral().router("loss-free"))).containsExactly("its gating");
    assertThat(whyNotMixtral(mixtral().router("rmoe"))).containsExactly("router rmoe");
    assertThat(whyNotMixtral(mixtral().router("yuan-attention")))
        .containsExactly("router yuan-attention");
    assertThat(whyNotMixtral(mixtral().router("skywork"))).containsExactly("its gating");
  }

  /** Without groups DeepSeek-V2's gating is Mixtral's, but its router drops in training. */
  @Test
  void aRouterThatIsMoreThanItsGatingIsOurs() {
    MoeConfig moe =
        mixtral()
            .router(
                "deepseek-v2", Map.of("groups", 1, "kept-groups", 1, "renormalise", "before-drop"))
            .build();
    assertThat(moe.gating()).contains(Gating.MIXTRAL);
    try (Decoder model = Tiny.model(with(moe), 1)) {
      HfLayout.Choice choice = HfLayout.choose(model);
      assertThat(choice.layout()).isEqualTo(HfLayout.MOE4J);
      assertThat(choice.obstacles().get(HfLayout.MIXTRAL)).containsExactly("router deepseek-v2");
    }
  }

  /** A family that the configuration fits is still not taken if something has no name in it. */
  @Test
  void whatHasNoNameInTheFamilyIsToldByName() {
    ParameterStore store = new ParameterStore(1);
    try (Decoder model = new Decoder(Tiny.mixtral(), store)) {
      assertThat(HfLayout.choose(model).layout()).isEqualTo(HfLayout.MIXTRAL);
      store.state("layers.0.moe.own", 0, Tensor.ones(3));
      HfLayout.Choice choice = HfLayout.choose(model);
      assertThat(choice.layout()).isEqualTo(HfLayout.MOE4J);
      assertThat(choice.obstacles().get(HfLayout.MIXTRAL))
          .containsExactly("the state layers.0.moe.own");
    }
  }

  @Test
  void theExplanationNamesEveryFamilyThatWasPassedOver() {
    assertThat(HfLayout.choose(Tiny.own()).explanation())
        .isEqualTo(
            "saved as moe4j; not olmoe: LayerNorm, 1 dense layer, no norms on whole queries and keys;"
                + " not mixtral: LayerNorm, 1 dense layer");
    assertThat(HfLayout.choose(Tiny.olmoe()).explanation()).isEqualTo("saved as olmoe");
  }
}

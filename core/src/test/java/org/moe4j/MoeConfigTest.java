package org.moe4j;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.moe4j.tensor.MoeException;

class MoeConfigTest {
  private static void refused(Runnable what, String message) {
    assertThatThrownBy(what::run)
        .isInstanceOf(MoeException.class)
        .hasMessageContaining(message)
        .hasMessageNotContaining("\n");
  }

  private static MoeConfig.Builder some() {
    return MoeConfig.builder(8, 16, 4, 2);
  }

  @Test
  void impossibleShapesAreRefused() {
    refused(() -> some().topK(5).build(), "top-k 5 is more than the 4 experts");
    refused(() -> some().topK(0).build(), "top-k (k) is 0");
    refused(() -> some().experts(0).build(), "experts (E) is 0");
    refused(() -> some().width(0).build(), "width (d) is 0");
    refused(() -> some().expertWidth(-1).build(), "expert width (h) is -1");
    refused(() -> some().sharedWidth(-1).build(), "shared width -1");
    refused(() -> some().sharedGate(true).build(), "without a shared expert");
    refused(() -> some().expertDropout(1).build(), "expert dropout 1.0");
  }

  @Test
  void droplessAndACapacityFactorExcludeEachOther() {
    refused(
        () -> some().dispatch(Dispatch.DROPLESS).capacity(Capacity.megablocks(1)).build(),
        "dispatcher \"dropless\" and a capacity factor exclude each other");
    assertThat(some().capacity(Capacity.megablocks(1)).build().dispatch())
        .isEqualTo(Dispatch.BUFFERS);
    assertThat(some().build().dispatch()).isEqualTo(Dispatch.DROPLESS);
  }

  @Test
  void unknownNamesAreRefusedWithTheNearestKnownOne() {
    refused(
        () -> RouterRegistry.named("softmax-topk"),
        "unknown router \"softmax-topk\"; did you mean \"softmax-top-k\"?");
    refused(
        () -> layer(some().router("softmax-top-k", Map.of("renormalize", "no"))),
        "router \"softmax-top-k\" has no option \"renormalize\"; did you mean \"renormalise\"?");
    refused(
        () -> layer(some().router("softmax-top-k", Map.of("scale", "big"))),
        "option scale is \"big\"; give a number");
    refused(
        () -> layer(some().router("softmax-top-k", Map.of("groups", 1.5))),
        "option groups is \"1.5\"; give a whole number");
    refused(
        () -> layer(some().router("softmax-top-k", Map.of("bias", "maybe"))),
        "option bias is \"maybe\"; give true or false");
    refused(
        () -> layer(some().router("gshard-top-2", Map.of("second-expert", "some"))),
        "give one of all, random, sampling, threshold, none");
    refused(() -> layer(some().router("switch")), "router \"switch\" chooses exactly 1");
    refused(() -> InitScheme.named("x"), "unknown initialisation \"x\"");
    refused(() -> Dispatch.named("x"), "unknown dispatcher \"x\"");
    refused(() -> ExpertForm.named("x"), "unknown expert form \"x\"");
  }

  private static void layer(MoeConfig.Builder builder) {
    try (ParameterStore store = new ParameterStore(1)) {
      new MoeLayer(builder.build(), store);
    }
  }

  @Test
  void namesLeadBack() {
    for (InitScheme scheme : InitScheme.values()) {
      assertThat(InitScheme.named(scheme.label())).isEqualTo(scheme);
    }
    for (Dispatch dispatch : Dispatch.values()) {
      assertThat(Dispatch.named(dispatch.label())).isEqualTo(dispatch);
    }
    MoeConfig config =
        some()
            .gating(Gating.deepSeekV3(2, 1, 2.5))
            .form(ExpertForm.GEGLU)
            .sharedExperts(2)
            .sharedForm(ExpertForm.RELU.withBiases(true))
            .sharedGate(true)
            .outputBias(true)
            .capacity(Capacity.mesh(1.25, 2))
            .balance(new RouterZLoss(), 1e-3)
            .expertDropout(0.4)
            .init(InitScheme.ST_MOE)
            .build();
    assertThat(config.toBuilder().build()).isEqualTo(config);
  }

  @Test
  void aSharedExpertHasTheRoutedOnesFormUnlessItHasItsOwn() {
    MoeConfig.Builder shared = some().sharedExperts(1).form(ExpertForm.GELU);
    assertThat(shared.build().sharedForm()).isEqualTo(ExpertForm.GELU);
    assertThat(shared.build().toBuilder().form(ExpertForm.RELU).build().sharedForm())
        .isEqualTo(ExpertForm.RELU);
    MoeConfig own = shared.sharedForm(ExpertForm.SWIGLU).build();
    assertThat(own.sharedForm()).isEqualTo(ExpertForm.SWIGLU);
    assertThat(own.toBuilder().form(ExpertForm.RELU).build().sharedForm())
        .isEqualTo(ExpertForm.SWIGLU);
    assertThat(own.toBuilder().sharedWidth(0).build())
        .isEqualTo(some().form(ExpertForm.GELU).build());
    // d = 8, h = 16, E = 4: gate, routed MLPs of 2 matrices, one shared of 3.
    assertThat(own.parameters()).isEqualTo(4 * 8 + 4 * 2 * 8 * 16 + 3 * 8 * 16);
    assertThat(own.flopsPerToken()).isEqualTo(2 * own.activeParameters());
    assertThat(own.toBuilder().outputBias(true).build().parameters())
        .isEqualTo(own.parameters() + 8);
  }

  @Test
  void impossibleFormsAreRefused() {
    refused(() -> new ExpertForm.Clamp(0, 1), "clamp limit 0.0; give a positive number");
    refused(() -> new ExpertForm.Clamp(Double.NaN, 1), "clamp limit NaN");
    refused(() -> new ExpertForm.Clamp(7, Double.NaN), "clamp shift NaN");
    refused(
        () -> ExpertForm.RELU.withClamp(new ExpertForm.Clamp(7, 1)),
        "a clamp needs a gated expert form");
    assertThat(ExpertForm.named("gpt-oss")).isEqualTo(ExpertForm.GPT_OSS);
  }

  @Test
  void publishedModelsHaveTheirPublishedSizes() {
    // Mixtral 8x7B: 32 layers of 8 experts 4096 x 14336 hold 45.1 of its 46.7 G parameters.
    MoeConfig mixtral = MoeConfig.builder(4096, 14336, 8, 2).gating(Gating.MIXTRAL).build();
    assertThat(mixtral.parameters()).isEqualTo(8L * 3 * 4096 * 14336 + 8 * 4096);
    assertThat(mixtral.activeParameters()).isEqualTo(2L * 3 * 4096 * 14336 + 8 * 4096);
    assertThat(mixtral.flopsPerToken()).isEqualTo(2 * mixtral.activeParameters());
    // DeepSeekMoE 16B (S36): 16,375,728,128 in all, attention, norms, embeddings and one dense
    // layer beside 27 of these.
    MoeConfig deepSeek = MoeConfig.builder(2048, 1408, 64, 6).sharedExperts(2).build();
    long attention = 4L * 2048 * 2048;
    long rest = 28 * (attention + 2 * 2048) + 3L * 2048 * 10944 + 2L * 102400 * 2048 + 2048;
    assertThat(27 * deepSeek.parameters() + rest).isEqualTo(16_375_728_128L);
    // ST-MoE-32B (S18): 12 sparse layers of 64 GEGLU experts 5120 x 20480.
    MoeConfig stMoe = MoeConfig.builder(5120, 20480, 64, 2).form(ExpertForm.GEGLU).build();
    assertThat(12 * stMoe.parameters()).isBetween(241_500_000_000L, 241_700_000_000L);
  }

  @Test
  void theValidityTableSpeaks() {
    Capacity priority = Capacity.vmoe(1.05, 1.05, Grouping.BATCH, DropOrder.PRIORITY);
    MoeConfig bpr = some().capacity(priority).build();
    refused(
        () -> Validity.check(bpr, Validity.Use.CAUSAL_TRAINING, false),
        "drop order \"priority\" lets later tokens and other sequences decide: not for causal");
    assertThat(Validity.check(bpr, Validity.Use.CAUSAL_TRAINING, true)).hasSize(1);
    refused(() -> Validity.check(bpr, Validity.Use.DECODING, true), "not for decoding");
    assertThat(Validity.check(bpr, Validity.Use.ENCODER, false)).isEmpty();
    MoeConfig choiceMajor = some().capacity(Capacity.mesh(1.25, 2)).build();
    assertThat(Validity.check(choiceMajor, Validity.Use.CAUSAL_TRAINING, false))
        .singleElement()
        .asString()
        .contains("can evict an earlier token's second");
    MoeConfig position =
        MoeConfig.builder(8, 16, 4, 1)
            .router("switch")
            .capacity(Capacity.switchPaper(1.25, Grouping.BATCH))
            .build();
    assertThat(Validity.check(position, Validity.Use.CAUSAL_TRAINING, false))
        .singleElement()
        .asString()
        .contains("sequences before in the group");
    assertThat(Validity.check(position, Validity.Use.DECODING, false))
        .singleElement()
        .asString()
        .contains("prefer no capacity");
    assertThat(
            Validity.check(
                some().init(InitScheme.SHAZEER).build(), Validity.Use.CAUSAL_TRAINING, false))
        .hasSize(1);
    refused(
        () ->
            Validity.check(
                some().balance(new LoadBalance(), 0.1).build(),
                Validity.Use.CAUSAL_TRAINING,
                false),
        "balance loss \"load\" and router \"softmax-top-k\" exclude each other: its plans lack"
            + " membership; leave the loss out or set its coefficient to 0");
    assertThat(Validity.check(some().build(), Validity.Use.DECODING, false)).isEmpty();
  }

  @Test
  void aTaxonomyKnowsItsWords() {
    refused(
        () ->
            new Taxonomy(
                "tokens",
                "linear",
                "token",
                "none",
                "1",
                "fixed",
                "none",
                "pad",
                "embedding",
                "nested",
                "gather",
                "serve"),
        "chooser has no value \"tokens\"; did you mean \"token\"?");
    Taxonomy t = RouterRegistry.named("gshard-top-2").taxonomy();
    assertThat(t.values())
        .containsEntry("choices", "2")
        .containsEntry("gate", "softmax then select + renormalised");
    assertThat(List.copyOf(t.values().keySet())).isEqualTo(List.copyOf(Taxonomy.WORDS.keySet()));
  }
}

package org.moe4j.models;

import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.moe4j.AdaptiveBalance;
import org.moe4j.Capacity;
import org.moe4j.CommunicationBalance;
import org.moe4j.ExpertForm;
import org.moe4j.FractionBalance;
import org.moe4j.Gating;
import org.moe4j.GlobalEntropyBalance;
import org.moe4j.Grouping;
import org.moe4j.ImportanceBalance;
import org.moe4j.InitScheme;
import org.moe4j.LoadBalance;
import org.moe4j.LocalEntropyBalance;
import org.moe4j.MoeConfig;
import org.moe4j.ParameterStore;
import org.moe4j.RouterZLoss;
import org.moe4j.VMoeBalance;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.Device;
import org.moe4j.tensor.RandomSource;
import org.moe4j.tensor.Scope;
import org.moe4j.tensor.Tensor;

/** Small decoders of different shapes, with weights large enough for logits that differ. */
public final class Tiny {
  public static final int VOCAB = 61;

  private Tiny() {}

  private static DecoderConfig decoder(AttentionConfig a, List<FeedForwardConfig> ffn) {
    return DecoderConfig.of(VOCAB, 32, a, ffn).toBuilder().maxPositions(64).initStd(0.3).build();
  }

  /** As both families round. */
  private static Gating released(Gating gating) {
    return gating.with(Gating.Rounding.LOGITS);
  }

  public static DecoderConfig olmoe() {
    MoeConfig moe = MoeConfig.builder(32, 24, 6, 3).gating(released(Gating.SOFTMAX_TOP_K)).build();
    GroupedQueryConfig a =
        GroupedQueryConfig.of(32, 4).withQkNorm(GroupedQueryConfig.QkNorm.WHOLE).withRopeTheta(500);
    return decoder(a, FeedForwardConfig.every(2, new FeedForwardConfig.Moe(moe)));
  }

  public static DecoderConfig mixtral() {
    MoeConfig moe = MoeConfig.builder(32, 24, 4, 2).gating(released(Gating.MIXTRAL)).build();
    GroupedQueryConfig a = GroupedQueryConfig.of(32, 4).withKvHeads(2);
    return decoder(a, FeedForwardConfig.every(2, new FeedForwardConfig.Moe(moe)));
  }

  /** What neither family expresses: LayerNorm, a dense layer, a shared expert, GELU, ties. */
  public static DecoderConfig own() {
    MoeConfig moe =
        MoeConfig.builder(32, 12, 4, 2)
            .gating(Gating.DEEPSEEK_V3.withScale(1.5))
            .form(ExpertForm.GELU.withBiases(true))
            .sharedWidth(16)
            .balance(FractionBalance.deepSeekExpert(true), 0.5)
            .balance(new RouterZLoss(), 0.25)
            .build();
    return decoder(
            GroupedQueryConfig.of(32, 4).withKvHeads(1),
            FeedForwardConfig.firstDense(3, 1, FeedForwardConfig.swiglu(40), moe))
        .toBuilder()
        .norm(NormKind.LAYER)
        .normEps(1e-6)
        .tiedEmbeddings(true)
        .build();
  }

  /** S01's noisy gate in every other layer, a capacity, and a balance loss on its noise. */
  public static DecoderConfig noisy() {
    MoeConfig moe =
        MoeConfig.builder(32, 16, 4, 2)
            .router("noisy-top-k")
            .form(ExpertForm.RELU)
            .capacity(Capacity.mesh(1.25, 4))
            .balance(new ImportanceBalance(), 0.1)
            .balance(new LoadBalance(), 0.1)
            .balance(new VMoeBalance(VMoeBalance.Signal.BOTH, Grouping.SEQUENCE), 0.1)
            .init(InitScheme.T5)
            .build();
    return decoder(
        GroupedQueryConfig.of(32, 4),
        FeedForwardConfig.everyOther(2, FeedForwardConfig.swiglu(40), moe));
  }

  /** Routers that are recurrent over depth, with a dense layer between them. */
  public static DecoderConfig recurrent() {
    MoeConfig moe =
        MoeConfig.builder(32, 16, 4, 2)
            .router("rmoe", Map.of("state-width", 6L))
            .balance(FractionBalance.mixtral(Grouping.BATCH), 0.1)
            .init(InitScheme.T5)
            .build();
    FeedForwardConfig sparse = new FeedForwardConfig.Moe(moe);
    return decoder(
        GroupedQueryConfig.of(32, 4), List.of(sparse, FeedForwardConfig.swiglu(40), sparse));
  }

  /** State of two kinds: a controlled selection bias, and balance coefficients that adapt. */
  public static DecoderConfig controlled() {
    MoeConfig moe =
        MoeConfig.builder(32, 16, 4, 2)
            .router("loss-free", Map.of("bias-update", "relative"))
            .balance(AdaptiveBalance.skywork(), 0.01)
            .balance(LocalEntropyBalance.standard(), 0)
            .balance(GlobalEntropyBalance.standard(), 0)
            .balance(new CommunicationBalance(), 0)
            .init(InitScheme.T5)
            .build();
    GroupedQueryConfig a = GroupedQueryConfig.of(32, 4);
    return decoder(a, FeedForwardConfig.every(2, new FeedForwardConfig.Moe(moe)));
  }

  public static DecoderConfig dense() {
    return decoder(
        GroupedQueryConfig.of(32, 2), FeedForwardConfig.every(2, FeedForwardConfig.swiglu(40)));
  }

  /** DeepSeek's attention with compressed queries, YaRN and a window in one layer. */
  public static DecoderConfig latent() {
    RopeConfig rope =
        RopeConfig.of(100)
            .withInterleaved(true)
            .with(new RopeConfig.Scaling.Yarn(4, 8, 4, 1, true, 1.1));
    LatentConfig a = new LatentConfig(3, 7, 9, 5, 4, 6, rope, true, 0.4, 1e-6);
    MoeConfig moe =
        MoeConfig.builder(32, 12, 6, 2)
            .gating(Gating.deepSeekV3(3, 2, 1.5))
            .sharedExperts(1)
            .build();
    return decoder(a, FeedForwardConfig.firstDense(2, 1, FeedForwardConfig.swiglu(40), moe))
        .toBuilder()
        .windows(List.of(0, 5))
        .build();
  }

  /** Experts in both halves. */
  public static DecoderConfig attentionExperts() {
    AttentionExpertsConfig a = new AttentionExpertsConfig(5, 2, 3, 4, RopeConfig.of(100));
    MoeConfig moe =
        MoeConfig.builder(32, 12, 5, 2).gating(Gating.TOP_K_SOFTMAX).outputBias(true).build();
    return decoder(a, FeedForwardConfig.every(2, new FeedForwardConfig.Moe(moe)));
  }

  /** Multipliers, biases everywhere, norms behind the branches and behind a partial rotation. */
  public static DecoderConfig multiplied() {
    GroupedQueryConfig a =
        GroupedQueryConfig.of(
                4, 2, 6, RopeConfig.of(50).with(new RopeConfig.Scaling.Linear(2)).withRotated(4))
            .withQkNorm(GroupedQueryConfig.QkNorm.PER_HEAD_ROTATED)
            .withBiases(true, true)
            .withClip(0.9)
            .withScale(0.3);
    MoeConfig moe =
        MoeConfig.builder(32, 12, 4, 2)
            .gating(Gating.ERNIE)
            .sharedWidth(8)
            .sharedForm(ExpertForm.SWIGLU.withBiases(true))
            .build();
    return decoder(a, FeedForwardConfig.every(2, new FeedForwardConfig.Moe(moe))).toBuilder()
        .norm(NormKind.LAYER_WITHOUT_SHIFT)
        .placement(DecoderConfig.NormPlacement.POST)
        .finalNormEps(1e-3)
        .multipliers(new DecoderConfig.Multipliers(1.5, 0.6, 0.7))
        .headBias(true)
        .build();
  }

  /** gpt-oss: sinks, windows, clamped experts with biases, a bias on the router. */
  public static DecoderConfig sinks() {
    GroupedQueryConfig a =
        GroupedQueryConfig.of(32, 4)
            .withKvHeads(2)
            .withQkNorm(GroupedQueryConfig.QkNorm.PER_HEAD)
            .withBiases(true, false)
            .withSinks(true);
    MoeConfig moe = MoeConfig.builder(32, 12, 4, 2).form(ExpertForm.GPT_OSS).build();
    return decoder(a, FeedForwardConfig.every(2, new FeedForwardConfig.Moe(moe))).toBuilder()
        .windows(List.of(4, 0))
        .build();
  }

  /** One of every kind of shape. */
  public static Stream<DecoderConfig> shapes() {
    return Stream.of(
        olmoe(),
        mixtral(),
        own(),
        noisy(),
        recurrent(),
        controlled(),
        dense(),
        latent(),
        attentionExperts(),
        multiplied(),
        sinks(),
        mixtral().toBuilder().norm(NormKind.LAYER).normEps(1e-5).build());
  }

  public static Decoder model(DecoderConfig config, long seed) {
    return model(config, seed, DType.F32);
  }

  /** A model whose norms are not the identity and whose experts are not small. */
  public static Decoder model(DecoderConfig config, long seed, DType dtype) {
    RandomSource random = new RandomSource(seed);
    Decoder model = new Decoder(config, new ParameterStore(random, Device.CPU, dtype));
    try (Scope scope = Scope.open()) {
      model
          .parameters()
          .all()
          .forEach(
              p -> {
                Tensor noise = random.normal(0, 0.2, DType.F32, p.tensor().shape());
                p.tensor().detach().addInPlace(noise.to(dtype));
              });
    }
    return model;
  }

  /** Ids [sequences, length] that differ from place to place. */
  public static Tensor ids(int sequences, int length) {
    long[] ids = new long[sequences * length];
    for (int i = 0; i < ids.length; i++) {
      ids[i] = (7L * i * i + 3L * i + 5) % VOCAB;
    }
    return Tensor.of(ids, sequences, length);
  }
}

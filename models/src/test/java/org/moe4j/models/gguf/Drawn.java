package org.moe4j.models.gguf;

import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import org.moe4j.ExpertForm;
import org.moe4j.Gating;
import org.moe4j.MoeConfig;
import org.moe4j.Parameter;
import org.moe4j.ParameterStore;
import org.moe4j.Role;
import org.moe4j.TokenContext;
import org.moe4j.models.AttentionConfig;
import org.moe4j.models.Decoder;
import org.moe4j.models.DecoderConfig;
import org.moe4j.models.DecoderOutput;
import org.moe4j.models.FeedForwardConfig;
import org.moe4j.models.GroupedQueryConfig;
import org.moe4j.models.GroupedQueryConfig.QkNorm;
import org.moe4j.models.LatentConfig;
import org.moe4j.models.NormKind;
import org.moe4j.models.RopeConfig;
import org.moe4j.models.hf.HfCheckpoint;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.Device;
import org.moe4j.tensor.NoGrad;
import org.moe4j.tensor.Scope;
import org.moe4j.tensor.Tensor;

/**
 * Decoders for every architecture of GGUF, of sizes that all types of weights divide, with drawn
 * weights; norms and biases are drawn too, so that none can be forgotten.
 */
final class Drawn {
  static final int VOCABULARY = 288;
  private static final int WIDTH = 256;

  private Drawn() {}

  /** The models by name. */
  static Map<String, DecoderConfig> models() {
    Map<String, DecoderConfig> all = new LinkedHashMap<>();
    GroupedQueryConfig plain = GroupedQueryConfig.of(WIDTH, 4).withKvHeads(2);
    GroupedQueryConfig free = GroupedQueryConfig.of(4, 2, 32, RopeConfig.of(500_000));
    MoeConfig mixtral = moe(Gating.MIXTRAL).build();
    all.put("llama", decoder(free, dense()));
    all.put("llama-biases", tied(decoder(plain.withBiases(true, true), dense())));
    all.put("mixtral", decoder(plain, every(mixtral)));
    all.put("mixtral-linear", decoder(linear(free), every(mixtral)));
    all.put("mixtral-yarn", decoder(yarn(free), every(mixtral)));
    all.put("qwen3", decoder(free.withQkNorm(QkNorm.PER_HEAD), dense()));
    all.put("qwen3moe", tied(decoder(free.withQkNorm(QkNorm.PER_HEAD), every(mixtral))));
    all.put(
        "qwen3moe-turned",
        decoder(
            free.withQkNorm(QkNorm.PER_HEAD).withRope(RopeConfig.of(1e4).withInterleaved(true)),
            every(mixtral)));
    all.put(
        "olmoe",
        tied(
            decoder(
                GroupedQueryConfig.of(WIDTH, 4).withQkNorm(QkNorm.WHOLE),
                every(moe(Gating.SOFTMAX_TOP_K).build()))));
    all.put(
        "minimax-m2",
        decoder(
            free.withQkNorm(QkNorm.WHOLE).withRope(RopeConfig.of(1e4).withRotated(16)),
            every(moe(Gating.DEEPSEEK_V3).build())));
    all.put(
        "minimax-m2-softmax",
        decoder(plain.withQkNorm(QkNorm.WHOLE), every(moe(Gating.MIXTRAL).build())));
    all.put(
        "deepseek-moe",
        decoder(plain, first(1, moe(Gating.SOFTMAX_TOP_K).sharedExperts(2).build())));
    all.put(
        "qwen2moe",
        decoder(
            plain.withBiases(true, false),
            every(moe(Gating.SOFTMAX_TOP_K).sharedWidth(512).sharedGate(true).build())));
    all.put(
        "granitemoe",
        decoder(free.withScale(0.3), every(moe(Gating.TOP_K_SOFTMAX).sharedWidth(256).build()))
            .toBuilder()
            .multipliers(new DecoderConfig.Multipliers(3, 0.5, 0.25))
            .build());
    all.put(
        "deepseek2",
        decoder(
            latent(96),
            first(1, moe(Gating.deepSeekV3(4, 2, 2.5)).experts(8).sharedExperts(2).build())));
    all.put(
        "deepseek2-lite",
        decoder(latent(0), first(0, moe(Gating.MIXTRAL).sharedExperts(1).build())));
    all.put(
        "glm4moe",
        decoder(
            free.withRope(RopeConfig.of(1e4).withRotated(16)).withBiases(true, false),
            first(1, moe(Gating.DEEPSEEK_V3.withScale(1.5)).sharedExperts(1).build())));
    all.put("gpt-oss", gptOss(free));
    all.put(
        "phimoe",
        decoder(
                plain.withBiases(true, true),
                every(moe(Gating.MIXTRAL).router("grin", sparseMixer()).build()))
            .toBuilder()
            .norm(NormKind.LAYER)
            .headBias(true)
            .build());
    all.put(
        "hunyuan-moe",
        decoder(
            free.withQkNorm(QkNorm.PER_HEAD_ROTATED),
            every(moe(Gating.MIXTRAL).sharedWidth(256).build())));
    all.put("ernie4_5-moe", decoder(plain, first(1, moe(Gating.ERNIE).build())));
    all.put(
        "dbrx",
        decoder(plain.withClip(2), every(mixtral)).toBuilder()
            .norm(NormKind.LAYER_WITHOUT_SHIFT)
            .build());
    return all;
  }

  private static DecoderConfig gptOss(GroupedQueryConfig free) {
    MoeConfig form = moe(Gating.TOP_K_SOFTMAX).form(ExpertForm.GPT_OSS).build();
    Map<String, Object> options = new LinkedHashMap<>(form.routerOptions());
    options.put("bias", true);
    MoeConfig moe = form.toBuilder().router(form.router(), options).build();
    return decoder(free.withBiases(true, true).withSinks(true), every(moe)).toBuilder()
        .windows(List.of(12, 0))
        .build();
  }

  /** With a threshold that no drawn logits come near. */
  private static Map<String, Object> sparseMixer() {
    return Map.of("mask", "code", "jitter", 1e-9);
  }

  private static LatentConfig latent(int queryRank) {
    double factor = 1 + 0.1 * 0.707 * Math.log(4);
    RopeConfig rope =
        RopeConfig.of(1e4)
            .withInterleaved(queryRank > 0)
            .with(
                queryRank > 0
                    ? new RopeConfig.Scaling.Yarn(4, 32, 32, 1, true, 1)
                    : RopeConfig.Scaling.NONE);
    double scale = queryRank > 0 ? factor * factor / Math.sqrt(48) : 0;
    return new LatentConfig(4, queryRank, 64, 32, 16, 32, rope, false, scale, 1e-5);
  }

  private static GroupedQueryConfig linear(GroupedQueryConfig a) {
    return a.withRope(a.rope().with(new RopeConfig.Scaling.Linear(2.5)));
  }

  private static GroupedQueryConfig yarn(GroupedQueryConfig a) {
    return a.withRope(a.rope().with(new RopeConfig.Scaling.Yarn(4, 16, 32, 1, true, 1.25)));
  }

  private static MoeConfig.Builder moe(Gating gating) {
    return MoeConfig.builder(WIDTH, 256, 4, 2).gating(gating);
  }

  private static List<FeedForwardConfig> every(MoeConfig moe) {
    return FeedForwardConfig.every(2, new FeedForwardConfig.Moe(moe));
  }

  private static List<FeedForwardConfig> first(int dense, MoeConfig moe) {
    return FeedForwardConfig.firstDense(2, dense, FeedForwardConfig.swiglu(512), moe);
  }

  private static List<FeedForwardConfig> dense() {
    return FeedForwardConfig.every(2, FeedForwardConfig.swiglu(256));
  }

  private static DecoderConfig decoder(AttentionConfig a, List<FeedForwardConfig> f) {
    return DecoderConfig.builder(VOCABULARY, WIDTH, a, f).maxPositions(128).build();
  }

  private static DecoderConfig tied(DecoderConfig c) {
    return c.toBuilder().tiedEmbeddings(true).build();
  }

  /** A decoder with drawn weights; the caller closes it. */
  static Decoder decoder(DecoderConfig config, long seed) {
    Decoder model = new Decoder(config, ParameterStore.uninitialised(Device.CPU, DType.F32));
    SplittableRandom random = new SplittableRandom(seed);
    try (Scope scope = Scope.open();
        NoGrad off = NoGrad.open()) {
      for (Parameter p : model.parameters().all()) {
        fill(p, random);
      }
    }
    return model;
  }

  /** Uniform numbers, of about the deviation that keeps a vector's length. */
  private static void fill(Parameter p, SplittableRandom random) {
    Tensor tensor = p.tensor().detach();
    long columns = tensor.size(tensor.dim() - 1);
    boolean vector = tensor.dim() == 1;
    boolean norm = p.role() instanceof Role.Norm && !p.name().endsWith("bias");
    double reach =
        vector || p.role() instanceof Role.Embedding ? 1 : 2 / Math.sqrt((double) columns);
    float[] values = new float[Math.toIntExact(tensor.numel())];
    for (int i = 0; i < values.length; i++) {
      double draw = random.nextDouble(-1, 1);
      values[i] = (float) (norm ? 1 + 0.3 * draw : vector ? 0.2 * draw : reach * draw);
    }
    tensor.copyInPlace(Tensor.of(values, tensor.shape()));
  }

  /** Saves the decoder {@code name} in our own layout or the one that fits. */
  static void save(String name, Path folder) {
    try (Decoder model = decoder(models().get(name), name.hashCode())) {
      HfCheckpoint.save(folder, model, HfCheckpoint.SaveOptions.DEFAULT);
    }
  }

  /** Logits of every position by the decoder itself. */
  static float[][] logits(Decoder model, int[] tokens) {
    try (Scope scope = Scope.open();
        NoGrad off = NoGrad.open()) {
      long[] ids = java.util.Arrays.stream(tokens).asLongStream().toArray();
      DecoderOutput out =
          model.forward(Tensor.of(ids, 1, ids.length), TokenContext.eval(1, ids.length));
      float[] flat = model.logits(out.hidden()).toFloats();
      float[][] rows = new float[tokens.length][];
      int width = flat.length / tokens.length;
      for (int t = 0; t < rows.length; t++) {
        rows[t] = java.util.Arrays.copyOfRange(flat, t * width, (t + 1) * width);
      }
      return rows;
    }
  }
}

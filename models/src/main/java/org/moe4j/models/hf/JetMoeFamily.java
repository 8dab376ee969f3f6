package org.moe4j.models.hf;

import java.util.List;
import org.moe4j.Gating;
import org.moe4j.MoeConfig;
import org.moe4j.MoeLayer;
import org.moe4j.Parameter;
import org.moe4j.models.Attention;
import org.moe4j.models.AttentionExpertsConfig;
import org.moe4j.models.DecoderConfig;
import org.moe4j.models.ExpertAttention;

/** JetMoE (S24): experts in the attention as in the feed-forward half. */
final class JetMoeFamily extends LlamaFamily {
  @Override
  public String modelType() {
    return "jetmoe";
  }

  @Override
  public DecoderConfig config(ConfigFile f) {
    f.refuseUnless("activation_function", "silu");
    MoeConfig moe =
        moe(f, "intermediate_size").gating(rounded(Gating.TOP_K_SOFTMAX)).outputBias(true).build();
    int channels = f.positive("kv_channels");
    AttentionExpertsConfig attention =
        f.checked(
            () ->
                new AttentionExpertsConfig(
                    moe.experts(),
                    moe.topK(),
                    f.positive("num_key_value_heads"),
                    channels,
                    RopeFields.read(f, 1e4, channels)));
    // The blocks' norms do not read rms_norm_eps.
    return decoder(f, attention, every(f, moe))
        .normEps(1e-6)
        .finalNormEps(f.numberOr(1e-6, "rms_norm_eps"))
        .tiedEmbeddings(f.flagOr(true, "tie_word_embeddings"))
        .build();
  }

  @Override
  void attention(WeightMap map, String at, Attention attention) {
    ExpertAttention a = (ExpertAttention) attention;
    String in = at + "self_attention.experts.";
    map.whole(in + "router.layer.weight", a.gate());
    map.whole(in + "input_linear.weight", a.in());
    map.whole(in + "output_linear.weight", a.out());
    map.whole(in + "bias", a.bias());
    Names.linear(map, at + "self_attention.kv_proj", a.kv());
  }

  @Override
  void sparse(WeightMap map, String at, MoeLayer moe, Parameter gate, ExpertLayout layout) {
    map.whole(at + "mlp.router.layer.weight", gate);
    Names.fused(map, at + "mlp.input_linear.weight", at + "mlp.output_linear.weight", moe);
    moe.outputBias().ifPresent(b -> map.whole(at + "mlp.bias", b));
  }

  @Override
  public List<ExpertLayout> layouts() {
    return List.of(ExpertLayout.RELEASED);
  }
}

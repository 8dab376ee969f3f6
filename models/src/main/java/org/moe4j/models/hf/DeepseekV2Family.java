package org.moe4j.models.hf;

import org.moe4j.Gating;
import org.moe4j.MoeConfig;
import org.moe4j.MoeLayer;
import org.moe4j.Parameter;
import org.moe4j.models.DecoderConfig;
import org.moe4j.models.LatentConfig;
import org.moe4j.models.RopeConfig;

/** DeepSeek-V2 (S40): latent attention, shared experts, softmax routing in groups of experts. */
class DeepseekV2Family extends LlamaFamily {
  @Override
  public String modelType() {
    return "deepseek_v2";
  }

  @Override
  public DecoderConfig config(ConfigFile f) {
    f.refuseUnless("scoring_func", "softmax");
    f.refuseUnless("norm_topk_prob", "false");
    double scale = f.numberOr(1, "routed_scaling_factor");
    Gating gating =
        switch (f.textOr("greedy", "topk_method")) {
          case "greedy" -> Gating.SOFTMAX_TOP_K.withScale(scale);
          case "group_limited_greedy" ->
              Gating.deepSeekV2(f.positive("n_group"), f.positive("topk_group"), scale);
          default ->
              throw f.failure(
                  "topk_method "
                      + f.text("topk_method")
                      + " is not supported; use greedy or group_limited_greedy");
        };
    MoeConfig moe = sharing(f, gating);
    return decoder(f, latent(f, true), firstDense(f, 0, moe)).build();
  }

  /** A sparse layer with {@code n_shared_experts} shared experts. */
  final MoeConfig sharing(ConfigFile f, Gating gating) {
    f.refuseUnless("moe_layer_freq", "1");
    MoeConfig.Builder moe = moe(f, "moe_intermediate_size").gating(gating);
    int shared = f.naturalOr(0, "n_shared_experts");
    return f.checked(() -> moe.sharedExperts(shared).build());
  }

  /** Latent attention of the usual fields. */
  final LatentConfig latent(ConfigFile f, boolean interleaved) {
    int plain = f.positive("qk_nope_head_dim");
    int turned = f.positive("qk_rope_head_dim");
    RopeConfig rope = RopeFields.read(f, 1e4, turned).withInterleaved(interleaved);
    double factor = RopeFields.scoreFactor(f);
    return f.checked(
        () ->
            new LatentConfig(
                f.positive("num_attention_heads"),
                f.naturalOr(0, "q_lora_rank"),
                f.positive("kv_lora_rank"),
                plain,
                turned,
                f.positive("v_head_dim"),
                rope,
                f.flagOr(false, "attention_bias"),
                factor / Math.sqrt(plain + turned),
                1e-6));
  }

  @Override
  void sparse(WeightMap map, String at, MoeLayer moe, Parameter gate, ExpertLayout layout) {
    map.whole(at + "mlp.gate.weight", gate);
    Names.selectionBias(map, at + "mlp.gate.e_score_correction_bias", moe);
    Names.experts(map, at + "mlp.", moe, layout);
    moe.shared().ifPresent(s -> Names.network(map, at + "mlp.shared_experts.", s.network()));
  }

  /** Layers behind the last one predict further tokens in training. */
  @Override
  public boolean ignores(String name, DecoderConfig config) {
    return super.ignores(name, config) || Names.layerOf(name, root()) >= config.layers();
  }
}

package org.moe4j.models.hf;

import org.moe4j.Gating;
import org.moe4j.Renormalise;
import org.moe4j.models.DecoderConfig;

/** DeepSeek-V3 and what shares its layout (Kimi-K2): sigmoid routing, a bias for the selection. */
final class DeepseekV3Family extends DeepseekV2Family {
  @Override
  public String modelType() {
    return "deepseek_v3";
  }

  @Override
  public DecoderConfig config(ConfigFile f) {
    return decoder(
            f,
            latent(f, f.flagOr(true, "rope_interleave")),
            firstDense(f, 3, sharing(f, gating(f, 8, 4, 2.5))))
        .build();
  }

  /** Routing of the usual fields; the numbers are the family's where a file has none. */
  static Gating gating(ConfigFile f, int groups, int kept, double scale) {
    f.refuseUnless("scoring_func", "sigmoid");
    f.refuseUnless("topk_method", "noaux_tc");
    Gating gating =
        Gating.deepSeekV3(
            f.positiveOr(groups, "n_group"),
            f.positiveOr(kept, "topk_group"),
            f.numberOr(scale, "routed_scaling_factor"));
    return f.flagOr(true, "norm_topk_prob") ? gating : gating.with(Renormalise.NO);
  }
}

package org.moe4j.models.hf;

import org.moe4j.models.DecoderConfig;
import org.moe4j.models.GroupedQueryConfig;

/** GLM-4.5 and later: DeepSeek-V3's experts behind grouped-query attention, half-rotated heads. */
final class Glm4MoeFamily extends DeepseekV2Family {
  @Override
  public String modelType() {
    return "glm4_moe";
  }

  @Override
  public DecoderConfig config(ConfigFile f) {
    GroupedQueryConfig plain = attention(f, 1e4);
    double share =
        f.numberOr(0.5, "rope_parameters/partial_rotary_factor", "partial_rotary_factor");
    int rotated = (int) (plain.headDim() * share);
    GroupedQueryConfig.QkNorm norm =
        f.flagOr(false, "use_qk_norm")
            ? GroupedQueryConfig.QkNorm.PER_HEAD
            : GroupedQueryConfig.QkNorm.NONE;
    GroupedQueryConfig attention =
        f.checked(
            () ->
                plain
                    .withRope(RopeFields.read(f, 1e4, rotated).withRotated(rotated))
                    .withQkNorm(norm)
                    .withBiases(f.flagOr(false, "attention_bias"), false));
    return decoder(f, attention, firstDense(f, 1, sharing(f, DeepseekV3Family.gating(f, 1, 1, 1))))
        .normEps(f.numberOr(1e-5, "rms_norm_eps"))
        .build();
  }
}

package org.moe4j.models.hf;

import org.moe4j.MoeConfig;
import org.moe4j.models.DecoderConfig;
import org.moe4j.models.GroupedQueryConfig;

/** OLMoE: norms on whole queries and keys, softmax routing without renormalisation. */
final class OlmoeFamily extends LlamaFamily {
  @Override
  public String modelType() {
    return "olmoe";
  }

  @Override
  public DecoderConfig config(ConfigFile f) {
    boolean bias = f.flagOr(false, "attention_bias");
    GroupedQueryConfig attention =
        attention(f, 1e4)
            .withQkNorm(GroupedQueryConfig.QkNorm.WHOLE)
            .withBiases(bias, bias)
            .withClip(f.numberOr(0, "clip_qkv"));
    MoeConfig moe = moe(f, "intermediate_size").gating(softmax(f)).build();
    return decoder(f, attention, every(f, moe)).normEps(f.numberOr(1e-5, "rms_norm_eps")).build();
  }
}

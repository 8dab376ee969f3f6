package org.moe4j.models.hf;

import java.util.List;
import org.moe4j.Gating;
import org.moe4j.MoeConfig;
import org.moe4j.MoeLayer;
import org.moe4j.Parameter;
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
    boolean renormalise = f.flagOr(false, "norm_topk_prob");
    MoeConfig moe =
        moe(f, "intermediate_size")
            .gating(rounded(renormalise ? Gating.MIXTRAL : Gating.SOFTMAX_TOP_K))
            .build();
    return decoder(f, attention, every(f, moe)).normEps(f.numberOr(1e-5, "rms_norm_eps")).build();
  }

  @Override
  void sparse(WeightMap map, String at, MoeLayer moe, Parameter gate, ExpertLayout layout) {
    map.whole(at + "mlp.gate.weight", gate);
    Names.experts(map, at + "mlp.", moe, layout);
  }

  @Override
  public List<ExpertLayout> layouts() {
    return List.of(ExpertLayout.RELEASED, ExpertLayout.FUSED);
  }
}

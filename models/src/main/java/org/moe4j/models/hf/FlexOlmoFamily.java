package org.moe4j.models.hf;

import java.util.List;
import org.moe4j.Gating;
import org.moe4j.MoeConfig;
import org.moe4j.MoeLayer;
import org.moe4j.Parameter;
import org.moe4j.models.DecoderBlock;
import org.moe4j.models.DecoderConfig;
import org.moe4j.models.GroupedQueryConfig;

/** FlexOlmo: OLMoE's parts with the norms behind attention and experts. */
final class FlexOlmoFamily extends LlamaFamily {
  @Override
  public String modelType() {
    return "flex_olmo";
  }

  @Override
  public DecoderConfig config(ConfigFile f) {
    boolean bias = f.flagOr(false, "attention_bias");
    GroupedQueryConfig attention =
        attention(f, 5e5).withQkNorm(GroupedQueryConfig.QkNorm.WHOLE).withBiases(bias, bias);
    boolean renormalise = f.flagOr(false, "norm_topk_prob");
    MoeConfig moe =
        moe(f, "intermediate_size")
            .gating(rounded(renormalise ? Gating.MIXTRAL : Gating.SOFTMAX_TOP_K))
            .build();
    return decoder(f, attention, every(f, moe)).placement(DecoderConfig.NormPlacement.POST).build();
  }

  @Override
  void norms(WeightMap map, String at, DecoderBlock block) {
    Names.norm(map, at + "post_attention_layernorm", block.attentionNorm());
    Names.norm(map, at + "post_feedforward_layernorm", block.ffnNorm());
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

package org.moe4j.models.hf;

import org.moe4j.MoeConfig;
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
    MoeConfig moe = moe(f, "intermediate_size").gating(softmax(f)).build();
    return decoder(f, attention, every(f, moe)).placement(DecoderConfig.NormPlacement.POST).build();
  }

  @Override
  void norms(WeightMap map, String at, DecoderBlock block) {
    Names.norm(map, at + "post_attention_layernorm", block.attentionNorm());
    Names.norm(map, at + "post_feedforward_layernorm", block.ffnNorm());
  }
}

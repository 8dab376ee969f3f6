package org.moe4j.models.hf;

import java.util.List;
import org.moe4j.Gating;
import org.moe4j.MoeConfig;
import org.moe4j.MoeLayer;
import org.moe4j.Parameter;
import org.moe4j.models.DecoderConfig;
import org.moe4j.models.GroupedQueryConfig;

/** Qwen3-MoE: norms on the queries and keys of each head, no shared expert. */
final class Qwen3MoeFamily extends LlamaFamily {
  @Override
  public String modelType() {
    return "qwen3_moe";
  }

  @Override
  public DecoderConfig config(ConfigFile f) {
    boolean bias = f.flagOr(false, "attention_bias");
    GroupedQueryConfig attention =
        attention(f, 1e4).withQkNorm(GroupedQueryConfig.QkNorm.PER_HEAD).withBiases(bias, bias);
    boolean renormalise = f.flagOr(false, "norm_topk_prob");
    MoeConfig moe =
        moe(f, "moe_intermediate_size")
            .gating(rounded(renormalise ? Gating.MIXTRAL : Gating.SOFTMAX_TOP_K))
            .build();
    int layers = f.positive("num_hidden_layers");
    boolean slides = f.flagOr(false, "use_sliding_window");
    return decoder(f, attention, stepped(f, moe))
        .windows(slides ? windows(f, layers, true) : List.of())
        .build();
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

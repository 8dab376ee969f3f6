package org.moe4j.models.hf;

import java.util.ArrayList;
import java.util.List;
import org.moe4j.Gating;
import org.moe4j.MoeConfig;
import org.moe4j.MoeLayer;
import org.moe4j.Parameter;
import org.moe4j.models.Attention;
import org.moe4j.models.DecoderConfig;
import org.moe4j.models.FeedForwardConfig;
import org.moe4j.models.GroupedQueryAttention;
import org.moe4j.models.GroupedQueryConfig;

/** HunYuan-MoE: norms on queries and keys behind the rotation, numbers that differ by layer. */
final class HunyuanMoeFamily extends LlamaFamily {
  @Override
  public String modelType() {
    return "hunyuan_v1_moe";
  }

  @Override
  public DecoderConfig config(ConfigFile f) {
    boolean bias = f.flagOr(false, "attention_bias");
    GroupedQueryConfig attention =
        attention(f, 1e4)
            .withQkNorm(GroupedQueryConfig.QkNorm.PER_HEAD_ROTATED)
            .withBiases(bias, bias);
    int layers = f.positive("num_hidden_layers");
    int width = f.positive("intermediate_size");
    List<Integer> experts = f.perLayer("num_experts", layers);
    List<Integer> topK = f.perLayer("moe_topk", layers);
    List<FeedForwardConfig> feedForward = new ArrayList<>();
    for (int i = 0; i < layers; i++) {
      int e = experts.get(i);
      int k = topK.get(i);
      MoeConfig moe =
          f.checked(
              () ->
                  MoeConfig.builder(f.positive("hidden_size"), width, e, k)
                      .gating(Gating.MIXTRAL)
                      .sharedWidth(width)
                      .build());
      feedForward.add(new FeedForwardConfig.Moe(moe));
    }
    return decoder(f, attention, feedForward).normEps(f.numberOr(1e-5, "rms_norm_eps")).build();
  }

  @Override
  void attention(WeightMap map, String at, Attention attention) {
    Names.grouped(
        map,
        at + "self_attn.",
        (GroupedQueryAttention) attention,
        "query_layernorm",
        "key_layernorm");
  }

  @Override
  void sparse(WeightMap map, String at, MoeLayer moe, Parameter gate, ExpertLayout layout) {
    map.whole(at + "mlp.gate.wg.weight", gate);
    Names.experts(map, at + "mlp.", moe, layout);
    moe.shared().ifPresent(s -> Names.network(map, at + "mlp.shared_mlp.", s.network()));
  }
}

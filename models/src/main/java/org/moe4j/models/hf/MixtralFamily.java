package org.moe4j.models.hf;

import org.moe4j.Gating;
import org.moe4j.MoeConfig;
import org.moe4j.MoeLayer;
import org.moe4j.Parameter;
import org.moe4j.models.DecoderConfig;

/** Mixtral (S34): Llama's attention, two of eight experts, renormalised softmax. */
final class MixtralFamily extends LlamaFamily {
  @Override
  public String modelType() {
    return "mixtral";
  }

  @Override
  public DecoderConfig config(ConfigFile f) {
    f.refuseUnless("attention_bias", "false");
    MoeConfig moe = moe(f, "intermediate_size").gating(rounded(Gating.MIXTRAL)).build();
    return decoder(f, attention(f, 1e6), every(f, moe))
        .normEps(f.numberOr(1e-5, "rms_norm_eps"))
        .windows(windows(f, f.positive("num_hidden_layers"), true))
        .build();
  }

  @Override
  void sparse(WeightMap map, String at, MoeLayer moe, Parameter gate, ExpertLayout layout) {
    switch (layout) {
      case RELEASED -> released(map, at + "block_sparse_moe.", moe, gate);
      case FUSED -> {
        map.whole(at + "mlp.gate.weight", gate);
        Names.experts(map, at + "mlp.", moe, layout);
      }
    }
  }

  /** w1 is the gate, w3 the up, w2 the down projection. */
  static void released(WeightMap map, String at, MoeLayer moe, Parameter gate) {
    map.whole(at + "gate.weight", gate);
    Names.perExpert(map, at + "experts.", moe, "w1.weight", "w3.weight", "w2.weight");
  }
}

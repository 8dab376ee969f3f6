package org.moe4j.models.hf;

import java.util.List;
import java.util.Map;
import org.moe4j.MoeConfig;
import org.moe4j.MoeLayer;
import org.moe4j.Parameter;
import org.moe4j.models.DecoderConfig;
import org.moe4j.models.NormKind;

/** Phi-3.5-MoE (S57): SparseMixer's choice of two, LayerNorm, biases, LongRoPE. */
final class PhimoeFamily extends LlamaFamily {
  @Override
  public String modelType() {
    return "phimoe";
  }

  @Override
  public DecoderConfig config(ConfigFile f) {
    boolean bias = f.flagOr(false, "attention_bias");
    Map<String, Object> options =
        Map.of("mask", "code", "rounded", true, "jitter", f.numberOr(0.01, "router_jitter_noise"));
    MoeConfig moe = moe(f, "intermediate_size").router("grin", options).build();
    return decoder(f, attention(f, 1e6).withBiases(bias, bias), every(f, moe))
        .norm(NormKind.LAYER)
        .normEps(f.numberOr(1e-5, "rms_norm_eps"))
        .headBias(f.flagOr(false, "lm_head_bias"))
        .windows(windows(f, f.positive("num_hidden_layers"), true))
        .build();
  }

  @Override
  void sparse(WeightMap map, String at, MoeLayer moe, Parameter gate, ExpertLayout layout) {
    MixtralFamily.released(map, at + "block_sparse_moe.", moe, gate);
  }

  @Override
  public List<ExpertLayout> layouts() {
    return List.of(ExpertLayout.RELEASED);
  }
}

package org.moe4j.models.hf;

import org.moe4j.Gating;
import org.moe4j.MoeConfig;
import org.moe4j.MoeLayer;
import org.moe4j.Parameter;
import org.moe4j.models.DecoderConfig;
import org.moe4j.models.GroupedQueryConfig;

/** Granite MoE: four multipliers, stacked experts; with a shared network in the second family. */
final class GraniteMoeFamily extends LlamaFamily {
  private final String modelType;

  GraniteMoeFamily(String modelType) {
    this.modelType = modelType;
  }

  @Override
  public String modelType() {
    return modelType;
  }

  @Override
  public DecoderConfig config(ConfigFile f) {
    boolean bias = f.flagOr(false, "attention_bias");
    GroupedQueryConfig attention =
        f.checked(
            () ->
                attention(f, 1e4)
                    .withBiases(bias, bias)
                    .withScale(f.numberOr(1, "attention_multiplier")));
    int shared = modelType.equals("granitemoeshared") ? f.natural("shared_intermediate_size") : 0;
    MoeConfig moe =
        moe(f, "intermediate_size")
            .gating(rounded(Gating.TOP_K_SOFTMAX))
            .sharedWidth(shared)
            .build();
    DecoderConfig.Multipliers multipliers =
        f.checked(
            () ->
                new DecoderConfig.Multipliers(
                    f.numberOr(1, "embedding_multiplier"),
                    f.numberOr(1, "residual_multiplier"),
                    1 / f.numberOr(1, "logits_scaling")));
    return decoder(f, attention, every(f, moe)).multipliers(multipliers).build();
  }

  @Override
  void sparse(WeightMap map, String at, MoeLayer moe, Parameter gate, ExpertLayout layout) {
    String in = at + "block_sparse_moe.";
    switch (layout) {
      case RELEASED -> {
        map.whole(in + "router.layer.weight", gate);
        Names.fused(map, in + "input_linear.weight", in + "output_linear.weight", moe);
      }
      case FUSED -> {
        map.whole(in + "router.weight", gate);
        Names.experts(map, in, moe, layout);
      }
    }
    moe.shared()
        .ifPresent(
            s -> {
              map.whole(at + "shared_mlp.input_linear.weight", s.network().in());
              map.whole(at + "shared_mlp.output_linear.weight", s.network().out());
            });
  }
}

package org.moe4j.models.hf;

import java.util.List;
import org.moe4j.Gating;
import org.moe4j.MoeConfig;
import org.moe4j.MoeLayer;
import org.moe4j.Parameter;
import org.moe4j.models.DecoderConfig;

/** Aria (S59): the text decoder, alone or inside the multimodal checkpoint. */
final class AriaFamily extends LlamaFamily {
  private final boolean multimodal;

  AriaFamily(boolean multimodal) {
    this.multimodal = multimodal;
  }

  @Override
  public String modelType() {
    return multimodal ? "aria" : "aria_text";
  }

  @Override
  String root() {
    return multimodal ? "language_model.model." : "model.";
  }

  @Override
  String head() {
    return multimodal ? "language_model.lm_head" : "lm_head";
  }

  @Override
  public DecoderConfig config(ConfigFile file) {
    ConfigFile f = multimodal ? file.within("text_config") : file;
    boolean bias = f.flagOr(false, "attention_bias");
    MoeConfig.Builder moe = moe(f, "intermediate_size");
    MoeConfig sparse =
        f.checked(
            () ->
                moe.gating(rounded(Gating.TOP_K_SOFTMAX))
                    .sharedExperts(f.naturalOr(2, "moe_num_shared_experts"))
                    .sharedForm(FORM.withBiases(f.flagOr(false, "mlp_bias")))
                    .build());
    return decoder(f, attention(f, 1e4).withBiases(bias, bias), every(f, sparse)).build();
  }

  /** Stacked matrices that are multiplied from the right: [E,d,2h] and [E,h,d]. */
  @Override
  void sparse(WeightMap map, String at, MoeLayer moe, Parameter gate, ExpertLayout layout) {
    map.whole(at + "mlp.router.weight", gate);
    Parameter in = Names.experts(moe).in();
    Parameter out = Names.experts(moe).out();
    map.part(at + "mlp.experts.fc1.weight", in, w -> w.transpose(1, 2));
    map.part(at + "mlp.experts.fc2.weight", out, w -> w.transpose(1, 2));
    moe.shared().ifPresent(s -> Names.network(map, at + "mlp.shared_experts.", s.network()));
  }

  /** What sees images is not read. */
  @Override
  public boolean ignores(String name, DecoderConfig config) {
    return super.ignores(name, config)
        || (multimodal
            && (name.startsWith("vision_tower.") || name.startsWith("multi_modal_projector.")));
  }

  @Override
  public List<ExpertLayout> layouts() {
    return List.of(ExpertLayout.RELEASED);
  }
}
